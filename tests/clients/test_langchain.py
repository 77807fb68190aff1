"""`langchain-openai`: invoke, stream, batch, structured output and tools, over chats and over responses."""

from typing import Literal

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel


class Animal(BaseModel):
    """An animal."""

    kind: Literal["dog", "cat", "bird"]
    friendly: bool


@tool
def get_weather(city: Literal["Rome", "Oslo"]) -> str:
    """Tells the weather of a city."""
    return f"It rains in {city}."


def chat_of(server, **options):
    return ChatOpenAI(
        **{"base_url": server.base_url, "api_key": "none", "model": "", "max_tokens": 32, "seed": 1, **options}
    )


@pytest.fixture
def chat(demo):
    return chat_of(demo)


def test_invoke(chat):
    reply = chat.invoke([SystemMessage("You tell stories."), HumanMessage("Tell me one.")])
    assert isinstance(reply, AIMessage) and reply.content
    assert reply.usage_metadata["output_tokens"] == 32
    assert reply.response_metadata["finish_reason"] == "length" and reply.response_metadata["system_fingerprint"]


def test_a_stream_adds_up(restless):
    chat = chat_of(restless, max_tokens=100, stream_usage=True)
    with restless.logged() as log:
        chunks = list(chat.stream("Tell me a story."))
    assert "".join(chunk.text for chunk in chunks) == log.record["response"]
    assert log.record["retractions"] > 5 and len(chunks) > 5
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.usage_metadata["output_tokens"] == 100
    assert chat.invoke("Tell me a story.").content == whole.content


def test_batch(chat):
    replies = chat.batch(["Tell me a story.", "Tell me another one."])
    assert all(reply.content for reply in replies)


def test_logprobs(chat):
    reply = chat.bind(logprobs=True, top_logprobs=2).invoke("Tell me a story.")
    assert "".join(item["token"] for item in reply.response_metadata["logprobs"]["content"]) == reply.content


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize("server", ["demo", "restless"])
def test_structured_output(server, method, request):
    chat = chat_of(request.getfixturevalue(server), max_tokens=200)
    assert isinstance(chat.with_structured_output(Animal, method=method).invoke("Which animal?"), Animal)
    # A stream of it, too.
    parts = list(chat.with_structured_output(Animal, method=method).stream("Which animal?"))
    assert isinstance(parts[-1], Animal)


def test_tools(chat):
    chat = chat.model_copy(update={"max_tokens": 140})
    chat = chat.bind_tools([get_weather], tool_choice="any", strict=True, parallel_tool_calls=False)
    question = HumanMessage("What is the weather in Rome?")
    reply = chat.invoke([question])
    assert reply.tool_calls and not reply.invalid_tool_calls
    call = reply.tool_calls[0]
    assert call["name"] == "get_weather" and call["args"]["city"] in ("Rome", "Oslo")
    results = [get_weather.invoke(call) for call in reply.tool_calls]
    assert all(isinstance(result, ToolMessage) for result in results)
    again = chat.bind(tool_choice="none").invoke([question, reply, *results])
    assert again.content and not again.tool_calls
    whole = None
    for chunk in chat.stream([question]):
        whole = chunk if whole is None else whole + chunk
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [
        (call["name"], call["args"]) for call in reply.tool_calls
    ]


def test_over_responses(restless):
    chat = chat_of(restless, use_responses_api=True, seed=None, max_tokens=100)
    with restless.logged() as log:
        chunks = list(chat.stream("Tell me a story."))
    assert "".join(chunk.text for chunk in chunks) == log.record["response"]
    assert log.record["retractions"] > 5
    assert chat.invoke("Tell me a story.").text
    assert isinstance(chat.with_structured_output(Animal, method="json_schema").invoke("Which?"), Animal)
    tools = chat.bind_tools([get_weather], tool_choice="any", strict=True, parallel_tool_calls=False)
    assert tools.invoke("The weather?").tool_calls


def test_completions(demo):
    model = OpenAI(base_url=demo.base_url, api_key="none", model="tale+fable", max_tokens=16, seed=1, n=1, best_of=1)
    text = model.invoke("Once upon a time")
    assert text and "".join(model.stream("Once upon a time")) == text
