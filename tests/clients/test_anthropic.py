"""The `anthropic` package: messages, streams, tools, shapes, counts and errors."""

import json

import anthropic
import pytest
from anthropic import Anthropic

STORY = [{"role": "user", "content": "Tell me a story about a little dog."}]
CITY = {"type": "string", "enum": ["Rome", "Oslo", "Lima"]}
TOOLS = [
    {
        "name": "get_weather",
        "description": "To get the weather.",
        "input_schema": {
            "type": "object",
            "properties": {"city": CITY},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
    {
        "name": "get_time",
        "description": "To get the time.",
        "input_schema": {
            "type": "object",
            "properties": {"city": CITY, "utc": {"type": "boolean"}},
            "required": ["city", "utc"],
            "additionalProperties": False,
        },
    },
]


def client_of(server, **options):
    return Anthropic(base_url=server.url, **{"api_key": "none", "max_retries": 0, "timeout": 60, **options})


@pytest.fixture(scope="module")
def client(demo):
    return client_of(demo)


@pytest.fixture(scope="module")
def model(client):
    return client.models.list().data[0].id


# The package has no words for these any more; the interface has.
GREEDY = {"temperature": 0}


def create(client, **more):
    model = client.models.list().data[0].id
    options = {"model": model, "messages": STORY, "max_tokens": 32, "extra_body": GREEDY}
    return client.messages.create(**{**options, **more})


def input_of(reply):
    """Tokens of the prompt: what was known already is counted apart."""
    usage = reply.usage
    return usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens


def test_models_are_listed(client, model):
    assert client.models.retrieve(model).id == model


def test_a_message_is_answered(client, model):
    reply = create(client)
    assert reply.type == "message" and reply.role == "assistant" and reply.model == model and reply.id.startswith("msg")
    (block,) = reply.content
    assert block.type == "text" and block.text
    assert reply.stop_reason == "max_tokens" and reply.stop_sequence is None
    assert reply.usage.output_tokens == 32 and input_of(reply) > 0


def test_a_conversation_with_a_system_message(client):
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Tell me a story."}]},
        {"role": "assistant", "content": [{"type": "text", "text": "There was a dog."}]},
        {"role": "user", "content": "Go on."},
    ]
    for system in ("You tell stories.", [{"type": "text", "text": "You tell stories."}]):
        assert create(client, messages=messages, system=system).content[0].text


def test_sampling_and_what_changes_nothing(client):
    assert create(client, metadata={"user_id": "x"}, extra_body={"temperature": 1, "top_p": 0.9, "top_k": 20}).content[0].text


def test_a_stop_sequence(client):
    free = create(client).content[0].text
    stop = free[20:25]
    reply = create(client, stop_sequences=["never", stop])
    assert reply.content[0].text == free[: free.index(stop)]
    assert reply.stop_reason == "stop_sequence" and reply.stop_sequence == stop


@pytest.mark.parametrize("server", ["demo", "restless"])
def test_a_stream_adds_up(server, request):
    server = request.getfixturevalue(server)
    client = client_of(server)
    model = client.models.list().data[0].id
    with server.logged() as log:
        with client.messages.stream(model=model, messages=STORY, max_tokens=100, extra_body=GREEDY) as stream:
            events = list(stream)
            final = stream.get_final_message()
    deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert "".join(deltas) == final.content[0].text == log.record["response"]
    assert len(deltas) > 5, "it comes in parts"
    assert final.stop_reason in ("max_tokens", "end_turn") and final.usage.output_tokens > 20
    assert input_of(final) == input_of(create(client))
    if "restless" in log.record["settings"]["policies"]:
        assert log.record["retractions"] > 2
    raw = [event.type for event in client.messages.create(
        model=model, messages=STORY, max_tokens=8, stream=True
    )]
    assert raw[:2] == ["message_start", "content_block_start"]
    assert raw[-3:] == ["content_block_stop", "message_delta", "message_stop"]


@pytest.mark.parametrize("server", ["demo", "restless"])
def test_a_tool_is_called(server, request):
    client = client_of(request.getfixturevalue(server))
    for choice, names in (
        ({"type": "any", "disable_parallel_tool_use": True}, {"get_weather", "get_time"}),
        ({"type": "tool", "name": "get_time"}, {"get_time"}),
    ):
        reply = create(client, tools=TOOLS, tool_choice=choice, max_tokens=140)
        assert reply.stop_reason == "tool_use"
        (call,) = reply.content
        assert call.type == "tool_use" and call.id and call.name in names and call.input["city"] in CITY["enum"]
        assert set(call.input) == ({"city"} if call.name == "get_weather" else {"city", "utc"})


def test_a_tool_may_be_called_or_not(client):
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    reply = create(client, tools=TOOLS, tool_choice=choice, max_tokens=140)
    kinds = {block.type for block in reply.content}
    assert kinds <= {"text", "tool_use"} and (reply.stop_reason == "max_tokens" or "tool_use" in kinds)
    reply = create(client, tools=TOOLS, tool_choice={"type": "none"})
    assert [block.type for block in reply.content] == ["text"]


def test_what_a_tool_said_is_read(client):
    call = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Rome"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "It rains."}
    messages = [
        {"role": "user", "content": "What is the weather in Rome?"},
        {"role": "assistant", "content": [{"type": "text", "text": "Let me see."}, call]},
        {"role": "user", "content": [result, {"type": "text", "text": "And?"}]},
    ]
    assert create(client, messages=messages, tools=TOOLS, tool_choice={"type": "none"}).content[0].text
    parts = {**result, "content": [{"type": "text", "text": "It rains."}], "is_error": False}
    messages[-1] = {"role": "user", "content": [parts]}
    assert create(client, messages=messages, tools=TOOLS, tool_choice={"type": "none"}).content[0].text


@pytest.mark.parametrize("server", ["demo", "restless"])
def test_a_streamed_call_adds_up(server, request):
    client = client_of(request.getfixturevalue(server))
    model = client.models.list().data[0].id
    options = {"model": model, "messages": STORY, "max_tokens": 140, "tools": TOOLS}
    options["tool_choice"] = {"type": "any", "disable_parallel_tool_use": True}
    with client.messages.stream(**options) as stream:
        events = list(stream)
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    (call,) = final.content
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    assert call.type == "tool_use" and call.input["city"] in CITY["enum"]
    assert json.loads("".join(delta.partial_json for delta in deltas)) == call.input


def test_a_shape(client):
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["dog", "cat"]}, "friendly": {"type": "boolean"}},
        "required": ["kind", "friendly"],
        "additionalProperties": False,
    }
    reply = create(client, max_tokens=200, output_config={"format": {"type": "json_schema", "schema": schema}})
    found = json.loads(reply.content[0].text)
    assert found["kind"] in ("dog", "cat") and isinstance(found["friendly"], bool) and reply.stop_reason == "end_turn"


def test_tokens_are_counted_as_a_message_counts_them(client, model):
    for more in ({}, {"system": "You tell stories."}, {"tools": TOOLS, "tool_choice": {"type": "any"}}):
        count = client.messages.count_tokens(model=model, messages=STORY, **more)
        assert count.input_tokens == input_of(create(client, **more))


def test_what_is_wrong_or_not_honoured_is_refused(client):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    for more, word in (
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [image]}]}, "image"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tool"),
        ({"extra_body": {"temperature": 7}}, "temperature"),
        ({"extra_body": {"mystery": 1}}, "mystery"),
        ({"max_tokens": 0}, "max_tokens"),
    ):
        with pytest.raises(anthropic.BadRequestError) as error:
            create(client, **more)
        assert error.value.body["type"] == "error"
        assert error.value.body["error"]["type"] == "invalid_request_error"
        assert word in error.value.body["error"]["message"], word


def test_errors_are_those_of_the_package(client, locked, narrow):
    with pytest.raises(anthropic.NotFoundError) as error:
        create(client, model="claude-3-opus")
    assert error.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.AuthenticationError) as error:
        client_of(locked, api_key="wrong").messages.create(model="x", messages=STORY, max_tokens=1)
    assert error.value.body["error"]["type"] == "authentication_error"
    assert create(client_of(locked, api_key="secret")).content[0].text
    busy = client_of(narrow)
    model = busy.models.list().data[0].id
    with busy.messages.create(model=model, messages=STORY, max_tokens=100_000, stream=True) as stream:
        next(iter(stream))
        with pytest.raises(anthropic.RateLimitError) as error:
            create(busy)
        assert error.value.body["error"]["type"] == "rate_limit_error"
        assert int(error.value.response.headers["retry-after"]) >= 1
