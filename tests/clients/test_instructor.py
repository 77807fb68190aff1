"""`instructor`: objects of pydantic by tools, by JSON schema and by JSON."""

from typing import Literal

import instructor
import pytest
from openai import OpenAI
from pydantic import BaseModel


class Animal(BaseModel):
    kind: Literal["dog", "cat", "bird"]
    friendly: bool


MODES = [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA, instructor.Mode.TOOLS_STRICT]


def options_of(server, client):
    model = client.models.list().data[0].id
    return {"model": model, "messages": [{"role": "user", "content": "Which animal?"}], "max_tokens": 300, "seed": 1}


def client_of(server):
    return OpenAI(base_url=server.base_url, api_key="none", max_retries=0, timeout=60)


@pytest.mark.parametrize("server", ["demo", "restless"])
@pytest.mark.parametrize("mode", MODES)
def test_an_object(server, mode, request):
    client = client_of(request.getfixturevalue(server))
    animal, reply = instructor.from_openai(client, mode=mode).chat.completions.create_with_completion(
        response_model=Animal, max_retries=0, **options_of(server, client)
    )
    assert isinstance(animal, Animal) and reply.usage.completion_tokens > 0


@pytest.mark.parametrize("mode", MODES[:2])
def test_an_object_grows_while_it_comes(demo, mode):
    client = client_of(demo)
    parts = list(
        instructor.from_openai(client, mode=mode).chat.completions.create_partial(
            response_model=Animal, max_retries=0, **options_of(demo, client)
        )
    )
    assert parts[-1].kind in ("dog", "cat", "bird") and isinstance(parts[-1].friendly, bool)


def test_by_anthropic(demo):
    from anthropic import Anthropic

    client = Anthropic(base_url=demo.url, api_key="none", max_retries=0)
    animal = instructor.from_anthropic(client).messages.create(
        response_model=Animal,
        max_retries=0,
        model="tale+fable",
        max_tokens=300,
        messages=[{"role": "user", "content": "Which animal?"}],
    )
    assert isinstance(animal, Animal)
