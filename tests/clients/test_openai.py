"""The `openai` package: chats, completions, responses, log-probabilities, shapes, tools and errors."""

import asyncio
import json
import math
import signal
import time
from typing import Annotated, Literal

import openai
import pytest
from conftest import Server
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, Field

STORY = [{"role": "user", "content": "Tell me a story about a little dog."}]


def client_of(server, **options):
    return OpenAI(base_url=server.base_url, **{"api_key": "none", "max_retries": 0, "timeout": 60, **options})


@pytest.fixture(scope="module")
def client(demo):
    return client_of(demo)


@pytest.fixture(scope="module")
def model(client):
    return client.models.list().data[0].id


def chat(client, **more):
    model = client.models.list().data[0].id
    return client.chat.completions.create(**{"model": model, "messages": STORY, "max_tokens": 32, "seed": 1, **more})


def complete(client, **more):
    model = client.models.list().data[0].id
    options = {"model": model, "prompt": "Once upon a time", "max_tokens": 16, "seed": 1}
    return client.completions.create(**{**options, **more})


def text_of(stream):
    """A stream's text, and its chunks."""
    chunks = list(stream)
    deltas = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    return "".join(deltas), chunks


# Models


def test_models_are_listed_and_found(client, model):
    assert client.models.retrieve(model).id == model
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


# Chats


def test_a_chat_is_answered(client, model):
    reply = chat(client)
    assert reply.object == "chat.completion" and reply.model == model and reply.id.startswith("chatcmpl")
    assert abs(reply.created - time.time()) < 600
    (choice,) = reply.choices
    assert choice.finish_reason == "length" and choice.message.role == "assistant" and choice.message.content
    assert choice.message.tool_calls is None and choice.message.refusal is None and choice.logprobs is None
    usage = reply.usage
    assert usage.completion_tokens == 32 and usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_a_conversation_and_parts_of_content_are_read(client):
    messages = [
        {"role": "system", "content": "You tell stories."},
        {"role": "developer", "content": [{"type": "text", "text": "Short ones."}]},
        {"role": "user", "content": [{"type": "text", "text": "Tell me"}, {"type": "text", "text": " a story."}]},
        {"role": "assistant", "content": "There was a dog."},
        {"role": "user", "content": "Go on."},
    ]
    assert chat(client, messages=messages).choices[0].message.content


def test_a_stream_adds_up_to_the_reply_and_ends_with_its_usage(client):
    whole = chat(client)
    text, chunks = text_of(chat(client, stream=True, stream_options={"include_usage": True}))
    assert text == whole.choices[0].message.content
    assert len({chunk.id for chunk in chunks}) == 1 and {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0].choices[0].delta.role == "assistant"
    *parts, last = chunks
    assert last.choices == [] and last.usage.completion_tokens == 32
    assert last.usage.prompt_tokens == whole.usage.prompt_tokens
    assert all(chunk.usage is None for chunk in parts)
    assert [chunk.choices[0].finish_reason for chunk in parts if chunk.choices[0].finish_reason] == ["length"]
    assert parts[-1].choices[0].finish_reason == "length"
    assert len([chunk for chunk in parts if chunk.choices[0].delta.content]) > 5, "it comes in parts"


def test_a_stream_has_no_usage_unless_asked_for(client):
    _, chunks = text_of(chat(client, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_the_stream_helper_makes_the_same_reply(client, model):
    # It raises an error of its own where a reply is cut by its length.
    options = {"model": model, "messages": STORY, "max_tokens": 200, "seed": 1, "stop": [" the ", "."]}
    with client.chat.completions.stream(**options) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content
    assert final.choices[0].message.content == client.chat.completions.create(**options).choices[0].message.content


def test_the_same_seed_writes_the_same_and_another_one_something_else(client):
    one, again, other = chat(client), chat(client), chat(client, seed=2)
    assert one.choices[0].message.content == again.choices[0].message.content != other.choices[0].message.content
    assert one.system_fingerprint and one.system_fingerprint == again.system_fingerprint


def test_another_ensemble_has_another_fingerprint(client, tokens):
    assert chat(client).system_fingerprint != chat(client_of(tokens)).system_fingerprint


def test_temperature_0_is_greedy(client):
    texts = {chat(client, seed=seed, temperature=0).choices[0].message.content for seed in (1, 2, 3)}
    assert len(texts) == 1


def test_several_replies(client):
    alone = chat(client).choices[0].message.content
    replies = chat(client, n=3)
    assert [choice.index for choice in replies.choices] == [0, 1, 2]
    texts = [choice.message.content for choice in replies.choices]
    assert texts[0] == alone and len(set(texts)) == 3
    assert replies.usage.completion_tokens == 96

    streamed = {0: "", 1: "", 2: ""}
    for chunk in chat(client, n=3, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert list(streamed.values()) == texts


@pytest.mark.parametrize("server", ["demo", "tokens"])
def test_stop_ends_the_reply_before_the_text(server, request):
    client = client_of(request.getfixturevalue(server))
    free = chat(client).choices[0].message.content
    # In the middle of words, so that it lies across units.
    place = len(free) // 2
    stop = free[place : place + 5]
    place = free.index(stop)
    for stops in (stop, ["never", stop]):
        choice = chat(client, stop=stops).choices[0]
        assert choice.message.content == free[:place] and choice.finish_reason == "stop"
        text, chunks = text_of(chat(client, stop=stops, stream=True))
        assert text == free[:place] and chunks[-1].choices[0].finish_reason == "stop"


def test_max_completion_tokens_is_the_newer_name(client):
    reply = chat(client, max_tokens=openai.omit, max_completion_tokens=7)
    assert reply.usage.completion_tokens == 7 and reply.choices[0].finish_reason == "length"


def test_many_at_once_are_each_as_if_alone(demo):
    async def all_of(seeds):
        async with AsyncOpenAI(base_url=demo.base_url, api_key="none", max_retries=0) as client:
            model = (await client.models.list()).data[0].id

            async def one(seed):
                stream = await client.chat.completions.create(
                    model=model, messages=STORY, max_tokens=24, seed=seed, stream=True
                )
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            return await asyncio.gather(*map(one, seeds))

    client = client_of(demo)
    alone = [chat(client, seed=seed, max_tokens=24).choices[0].message.content for seed in range(8)]
    together = asyncio.run(all_of(range(8)))
    assert together == alone


def test_a_client_that_goes_away_frees_its_line(narrow):
    client = client_of(narrow)
    with chat(client, stream=True, max_tokens=100_000) as stream:
        next(iter(stream))
    end = time.monotonic() + 10
    while True:
        try:
            chat(client, max_tokens=4)
            return
        except openai.RateLimitError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_server_that_is_told_to_end_finishes_what_it_writes(tmp_path):
    server = Server(tmp_path, ["--demo", "--policy", "none"])
    client = client_of(server)
    text = ""
    with server.logged() as log:
        with chat(client, stream=True, max_tokens=200) as stream:
            for number, chunk in enumerate(stream):
                text += chunk.choices[0].delta.content or ""
                if number == 3:
                    server.process.send_signal(signal.SIGTERM)
    assert chunk.choices[0].finish_reason == "length" and text == log.record["response"]
    server.stop()
    with pytest.raises(openai.APIConnectionError):
        chat(client)


# Text that is taken back


def test_deltas_add_up_to_the_logged_text_while_text_is_taken_back(restless):
    client = client_of(restless)
    for seed in range(4):
        with restless.logged() as log:
            text, chunks = text_of(chat(client, seed=seed, max_tokens=100, stream=True))
        assert log.record["retractions"] > 5
        assert text == log.record["response"]
        assert len([chunk for chunk in chunks if chunk.choices[0].delta.content]) > 5, "it comes in parts"
        with restless.logged() as log:
            whole = chat(client, seed=seed, max_tokens=100)
        assert whole.choices[0].message.content == text == log.record["response"]
        assert log.record["retractions"] > 5
        assert whole.usage.completion_tokens == 100


def test_completions_too(restless):
    client = client_of(restless)
    with restless.logged() as log:
        chunks = list(complete(client, max_tokens=100, stream=True))
    assert log.record["retractions"] > 5
    assert "".join(chunk.choices[0].text for chunk in chunks) == log.record["response"]


def test_logprobs_are_those_of_the_text_that_stands(restless):
    client = client_of(restless)
    with restless.logged() as log:
        chunks = list(chat(client, max_tokens=100, stream=True, logprobs=True, top_logprobs=2))
    assert log.record["retractions"] > 5
    items = [item for chunk in chunks if chunk.choices[0].logprobs for item in chunk.choices[0].logprobs.content]
    assert b"".join(bytes(item.bytes) for item in items).decode() == log.record["response"]


def test_a_stop_text_that_is_taken_back_ends_nothing(restless):
    client = client_of(restless)
    free = chat(client, max_tokens=100).choices[0].message.content
    stop = free[40:46]
    place = free.index(stop)
    with restless.logged() as log:
        text, _ = text_of(chat(client, max_tokens=100, stop=stop, stream=True))
    assert text == log.record["response"] == free[:place]


def test_a_client_that_asks_for_retractions_can_follow_them(restless):
    client = client_of(restless)
    with restless.logged() as log:
        stream = chat(client, max_tokens=100, stream=True, extra_body={"retractions": True})
        text, retractions = b"", 0
        for chunk in stream:
            event = (chunk.model_extra or {}).get("llama_selfmod") or {}
            if event.get("type") == "retract":
                assert not chunk.choices[0].delta.content
                text, retractions = text[: len(text) - event["bytes"]], retractions + 1
            text += (chunk.choices[0].delta.content or "").encode() if chunk.choices else b""
    assert retractions == log.record["retractions"] > 5
    assert text.decode() == log.record["response"]


# Log-probabilities


@pytest.mark.parametrize("server", ["demo", "tokens"])
def test_logprobs_of_a_chat(server, request):
    client = client_of(request.getfixturevalue(server))
    reply = chat(client, logprobs=True, top_logprobs=3)
    items = reply.choices[0].logprobs.content
    assert len(items) == 32
    assert b"".join(bytes(item.bytes) for item in items).decode(errors="replace") == reply.choices[0].message.content
    for item in items:
        best = [one.logprob for one in item.top_logprobs]
        # A piece of several bytes may have fewer alternatives than were asked for.
        assert 1 <= len(best) <= 4 and best == sorted(best, reverse=True)
        assert sum(map(math.exp, best)) < 1.001 and item.logprob <= 0
        same = [one for one in item.top_logprobs if one.bytes == item.bytes]
        assert not same or same[0].logprob == item.logprob
    streamed = [
        item
        for chunk in chat(client, logprobs=True, top_logprobs=3, stream=True)
        if chunk.choices[0].logprobs
        for item in chunk.choices[0].logprobs.content
    ]
    assert [item.token for item in streamed] == [item.token for item in items]
    assert [item.logprob for item in streamed] == pytest.approx([item.logprob for item in items], abs=0.02)


def test_logprobs_without_alternatives(client):
    items = chat(client, logprobs=True).choices[0].logprobs.content
    assert len(items) == 32 and all(item.top_logprobs == [] for item in items)


@pytest.mark.parametrize("server", ["demo", "tokens"])
def test_logprobs_of_a_completion(server, request):
    client = client_of(request.getfixturevalue(server))
    (choice,) = complete(client, logprobs=3).choices
    found = choice.logprobs
    assert len(found.tokens) == len(found.token_logprobs) == len(found.top_logprobs) == len(found.text_offset) == 16
    assert "".join(found.tokens) == choice.text
    for token, offset, logprob, best in zip(
        found.tokens, found.text_offset, found.token_logprobs, found.top_logprobs
    ):
        assert choice.text[offset - found.text_offset[0] :].startswith(token)
        assert logprob <= 0 and best[token] == logprob


@pytest.mark.parametrize("server", ["demo", "tokens"])
def test_logprobs_of_a_given_text(server, request):
    client = client_of(request.getfixturevalue(server))
    (choice,) = complete(client, prompt="Once upon a time", echo=True, logprobs=1, max_tokens=1).choices
    found = choice.logprobs
    assert choice.text.startswith("Once upon a time") and "".join(found.tokens) == choice.text
    assert found.token_logprobs[0] is None and all(logprob <= 0 for logprob in found.token_logprobs[1:])
    # The chosen token's number stands among the alternatives as it is.
    assert all(
        best[token] == logprob
        for token, logprob, best in list(zip(found.tokens, found.token_logprobs, found.top_logprobs))[1:]
    )


# Completions


def test_a_completion_goes_on(client, model):
    reply = complete(client)
    assert reply.object == "text_completion" and reply.model == model and reply.system_fingerprint
    (choice,) = reply.choices
    assert choice.text and choice.finish_reason == "length" and choice.logprobs is None
    assert reply.usage.completion_tokens == 16
    assert complete(client, echo=True).choices[0].text == "Once upon a time" + choice.text


def test_completions_of_several_prompts(client):
    prompts = ["Once upon a time", "The dog"]
    reply = complete(client, prompt=prompts, n=2)
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
    alone = [choice.text for prompt in prompts for choice in complete(client, prompt=prompt, n=2).choices]
    assert [choice.text for choice in reply.choices] == alone


def test_a_prompt_in_tokens_is_the_same_prompt(tokens):
    client = client_of(tokens)
    body = client.post(f"{tokens.url}/tokenize", body={"prompt": "Once upon a time"}, cast_to=object)
    by_tokens = complete(client, prompt=body["tokens"])
    assert by_tokens.choices[0].text == complete(client).choices[0].text


def test_a_completion_comes_in_parts(client):
    whole = complete(client)
    chunks = list(complete(client, stream=True, stream_options={"include_usage": True}))
    *parts, last = chunks
    assert "".join(chunk.choices[0].text for chunk in parts) == whole.choices[0].text
    assert last.choices == [] and last.usage.completion_tokens == 16
    assert parts[-1].choices[0].finish_reason == "length"


# Biases


def test_a_bias_takes_a_token_away_or_brings_it(tokens):
    client = client_of(tokens)
    first = complete(client, logprobs=1, max_tokens=1, temperature=0).choices[0]
    body = client.post(f"{tokens.url}/tokenize", body={"prompt": "Once upon a time" + first.text}, cast_to=object)
    unit = body["tokens"][-1]
    without = complete(client, logprobs=1, max_tokens=1, temperature=0, logit_bias={str(unit): -100}).choices[0]
    assert without.text != first.text
    brought = complete(client, max_tokens=8, temperature=0, logit_bias={str(unit): 100}).choices[0]
    assert brought.text == first.text * 8


def test_a_bias_on_bytes_is_refused(client):
    with pytest.raises(openai.BadRequestError) as error:
        chat(client, logit_bias={"5": 1})
    assert error.value.param == "logit_bias"


# Shapes


class Animal(BaseModel):
    kind: Literal["dog", "cat", "bird"]
    legs: Annotated[int, Field(ge=0, le=9)]
    friendly: bool
    names: Annotated[list[Literal["Max", "Tom", "Sue"]], Field(min_length=1, max_length=2)]


@pytest.mark.parametrize("server", ["demo", "tokens", "restless"])
def test_a_reply_is_parsed_by_its_schema(server, request):
    client = client_of(request.getfixturevalue(server))
    model = client.models.list().data[0].id
    for seed in range(3):
        reply = client.chat.completions.parse(
            model=model, messages=STORY, response_format=Animal, max_tokens=200, seed=seed
        )
        assert isinstance(reply.choices[0].message.parsed, Animal) and reply.choices[0].finish_reason == "stop"


def test_a_streamed_reply_is_parsed_by_its_schema(client, model):
    with client.chat.completions.stream(
        model=model, messages=STORY, response_format=Animal, max_tokens=200, seed=3
    ) as stream:
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Animal)


def test_a_reply_that_is_too_long_for_its_schema_is_told_by_the_client(client, model):
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model=model, messages=STORY, response_format=Animal, max_tokens=4)


def test_any_json_object(client):
    # An object may be as long as it likes: so it is the beginning of one at least.
    choice = chat(client, response_format={"type": "json_object"}, max_tokens=60).choices[0]
    if choice.finish_reason == "stop":
        assert isinstance(json.loads(choice.message.content), dict)
    else:
        assert choice.message.content.lstrip().startswith("{")


def test_a_schema_that_is_none_is_refused(client):
    with pytest.raises(openai.BadRequestError) as error:
        chat(
            client,
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "hiccup"}}},
        )
    assert error.value.param == "response_format"
    with pytest.raises(openai.BadRequestError) as error:
        chat(client, response_format={"type": "sound"})
    assert error.value.param == "response_format"


def test_a_grammar(client):
    choice = chat(client, extra_body={"grammar": 'root ::= "yes" | "no"'}).choices[0]
    assert choice.message.content in ("yes", "no") and choice.finish_reason == "stop"


# Tools

CITY = {"type": "string", "enum": ["Rome", "Oslo", "Lima"]}


def tool(name, properties):
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": f"To {name}.", "parameters": parameters}}


TOOLS = [tool("get_weather", {"city": CITY}), tool("get_time", {"city": CITY, "utc": {"type": "boolean"}})]
NAMED = {"type": "function", "function": {"name": "get_weather"}}
ASKED = [{"role": "user", "content": "What is the weather in Rome?"}]


def check_call(call, names=("get_weather", "get_time")):
    assert call.id and call.type == "function" and call.function.name in names
    arguments = json.loads(call.function.arguments)
    assert arguments["city"] in CITY["enum"]
    assert set(arguments) == ({"city"} if call.function.name == "get_weather" else {"city", "utc"})


@pytest.mark.parametrize("server", ["demo", "tale", "restless"])
def test_a_tool_that_must_be_called_is(server, request):
    client = client_of(request.getfixturevalue(server))
    for seed in range(3):
        options = {"messages": ASKED, "tools": TOOLS, "max_tokens": 140, "seed": seed}
        choice = chat(client, tool_choice="required", parallel_tool_calls=False, **options).choices[0]
        assert choice.finish_reason == "tool_calls" and not choice.message.content
        (call,) = choice.message.tool_calls
        check_call(call)
        choice = chat(client, tool_choice=NAMED, **options).choices[0]
        (call,) = choice.message.tool_calls
        check_call(call, ["get_weather"])
        # OpenAI says `stop` where the tool was named.
        assert choice.finish_reason in ("stop", "tool_calls")


def test_several_tools_may_be_called(client):
    options = {"messages": ASKED, "tools": TOOLS, "max_tokens": 140, "tool_choice": "required"}
    for seed in range(3):
        choice = chat(client, parallel_tool_calls=True, seed=seed, **options).choices[0]
        calls = choice.message.tool_calls
        assert len({call.id for call in calls}) == len(calls)
        # A small model does not stop calling by itself.
        for call in calls if choice.finish_reason == "tool_calls" else calls[:-1]:
            check_call(call)


def test_a_tool_may_be_called_or_not(client):
    for seed in range(4):
        options = {"messages": ASKED, "tools": TOOLS, "max_tokens": 140, "seed": seed}
        choice = chat(client, tool_choice="auto", parallel_tool_calls=False, **options).choices[0]
        if choice.finish_reason == "tool_calls":
            (call,) = choice.message.tool_calls
            check_call(call)
        else:
            assert choice.message.content or choice.message.tool_calls
        choice = chat(client, tool_choice="none", **options).choices[0]
        assert choice.message.content and choice.message.tool_calls is None


@pytest.mark.parametrize("server", ["demo", "restless"])
@pytest.mark.parametrize("choice", ["required", "auto", NAMED])
def test_a_streamed_call_is_the_same_call(choice, server, request):
    client = client_of(request.getfixturevalue(server))
    options = {
        "messages": ASKED,
        "tools": TOOLS,
        "tool_choice": choice,
        "parallel_tool_calls": False,
        "max_tokens": 140,
        "seed": 5,
    }
    whole = chat(client, **options).choices[0]
    calls = [(call.function.name, call.function.arguments) for call in whole.message.tool_calls or []]
    # The first part of a call has its name, and the arguments add up.
    text, names, arguments, ids = "", [], "", []
    for chunk in chat(client, **options, stream=True):
        (part,) = chunk.choices
        text += part.delta.content or ""
        for call in part.delta.tool_calls or []:
            assert call.index == 0
            ids += [call.id] if call.id else []
            names += [call.function.name] if call.function.name else []
            arguments += call.function.arguments or ""
    assert part.finish_reason == whole.finish_reason and text == (whole.message.content or "")
    assert (names, arguments) == (([name for name, _ in calls], calls[0][1]) if calls else ([], ""))
    assert len(ids) == len(calls)


def test_the_stream_helper_parses_a_call(client, model):
    strict = [{**tool, "function": {**tool["function"], "strict": True}} for tool in TOOLS]
    with client.chat.completions.stream(
        model=model, messages=ASKED, tools=strict, tool_choice=NAMED, parallel_tool_calls=False, max_tokens=140, seed=5
    ) as stream:
        choice = stream.get_final_completion().choices[0]
    (call,) = choice.message.tool_calls
    assert call.function.parsed_arguments["city"] in CITY["enum"]


def test_what_a_tool_said_is_read(client):
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'},
    }
    messages = [
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "It rains."},
    ]
    reply = chat(client, messages=messages, tools=TOOLS, tool_choice="none")
    assert reply.choices[0].message.content
    assert reply.usage.prompt_tokens > chat(client, messages=ASKED).usage.prompt_tokens


# Errors


@pytest.mark.parametrize(
    "field, value, param",
    [
        ("temperature", "hot", "temperature"),
        ("temperature", -1, "temperature"),
        ("top_p", 2, "top_p"),
        ("n", 100, "n"),
        ("max_tokens", -1, "max_tokens"),
        ("top_logprobs", 5, "top_logprobs"),
        ("stop", 7, "stop"),
        ("frequency_penalty", 1.0, "frequency_penalty"),
        ("presence_penalty", 1.0, "presence_penalty"),
        ("store", True, "store"),
        ("tool_choice", {"type": "function", "function": {"name": "nobody"}}, "tool_choice"),
        ("audio", {"voice": "x", "format": "mp3"}, "audio"),
        ("messages", [], "messages"),
    ],
)
def test_what_is_wrong_or_not_honoured_is_refused_by_name(client, field, value, param):
    extra = {"tools": TOOLS} if field == "tool_choice" else {}
    with pytest.raises(openai.BadRequestError) as error:
        chat(client, **extra, extra_body={field: value})
    assert error.value.param == param and error.value.type == "invalid_request_error" and error.value.message


def test_an_image_is_refused(client):
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(openai.BadRequestError) as error:
        chat(client, messages=[{"role": "user", "content": [part]}])
    assert error.value.param.startswith("messages")


def test_another_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as error:
        chat(client, model="gpt-4o")
    assert error.value.param == "model" and error.value.code == "model_not_found"


def test_a_prompt_that_is_too_long_is_told(tokens):
    client = client_of(tokens)
    with pytest.raises(openai.BadRequestError) as error:
        chat(client, messages=[{"role": "user", "content": "dog " * 2000}])
    assert error.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as error:
        chat(client, messages=[{"role": "user", "content": "dog " * 2000}], stream=True)
    assert error.value.code == "context_length_exceeded"


def test_without_the_key_nobody_is_let_in(locked):
    for key in ("wrong", "secre", "secrett"):
        with pytest.raises(openai.AuthenticationError) as error:
            chat(client_of(locked, api_key=key))
        assert error.value.code == "invalid_api_key"
    assert chat(client_of(locked, api_key="secret")).choices[0].message.content


def test_one_too_many_is_told_to_come_again(narrow):
    client = client_of(narrow)
    with chat(client, stream=True, max_tokens=100_000) as stream:
        next(iter(stream))
        with pytest.raises(openai.RateLimitError) as error:
            complete(client)
        assert int(error.value.response.headers["retry-after"]) >= 1
        assert error.value.type == "rate_limit_error"


def test_what_is_not_there_is_told(client, model):
    with pytest.raises((openai.NotFoundError, openai.BadRequestError)) as error:
        client.embeddings.create(model=model, input="dog")
    assert error.value.body["message"]
    for missing in (
        lambda: client.images.generate(prompt="a dog"),
        lambda: client.moderations.create(input="a dog"),
        lambda: client.files.list(),
    ):
        with pytest.raises(openai.NotFoundError):
            missing()


# Responses


def respond(client, **more):
    model = client.models.list().data[0].id
    return client.responses.create(**{"model": model, "input": "Tell me a story.", "max_output_tokens": 32, **more})


def test_a_response(client, model):
    reply = respond(client)
    assert reply.object == "response" and reply.model == model and reply.id.startswith("resp")
    assert reply.status == "incomplete" and reply.incomplete_details.reason == "max_output_tokens"
    (message,) = reply.output
    assert message.type == "message" and message.role == "assistant" and message.id
    assert reply.output_text == message.content[0].text != ""
    assert reply.usage.output_tokens == 32
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens


def test_a_response_to_a_conversation(client):
    items = [
        {"role": "user", "content": "Tell me a story."},
        {"role": "assistant", "content": "There was a dog."},
        {"role": "user", "content": [{"type": "input_text", "text": "Go on."}]},
    ]
    reply = respond(client, input=items, instructions="You tell stories.")
    assert reply.output_text
    # What came back can be sent again.
    more = [*items, *[item.model_dump(exclude_none=True) for item in reply.output], {"role": "user", "content": "And?"}]
    assert respond(client, input=more).output_text


@pytest.mark.parametrize("server", ["demo", "restless"])
def test_a_streamed_response_adds_up(server, request):
    server = request.getfixturevalue(server)
    client = client_of(server)
    model = client.models.list().data[0].id
    with server.logged() as log:
        with client.responses.stream(model=model, input="Tell me a story.", max_output_tokens=100) as stream:
            events = list(stream)
    # The helper knows of no response that is cut by its length.
    final = events[-1].response
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert deltas == final.output_text == log.record["response"]
    types = [event.type for event in events]
    assert types[0] == "response.created" and types[-1] in ("response.completed", "response.incomplete")
    for one in ("response.output_item.added", "response.content_part.added", "response.output_text.done"):
        assert types.count(one) == 1
    assert [event.sequence_number for event in events] == sorted({event.sequence_number for event in events})
    if "restless" in log.record["settings"]["policies"]:
        assert log.record["retractions"] > 5


def test_a_response_is_parsed_by_its_schema(client, model):
    reply = client.responses.parse(
        model=model, input="Which animal?", text_format=Animal, max_output_tokens=200, temperature=0
    )
    assert isinstance(reply.output_parsed, Animal) and reply.status == "completed"


RESPONSE_TOOLS = [{"type": "function", "strict": True, **tool["function"]} for tool in TOOLS]


def test_a_response_calls_a_tool_and_reads_what_it_said(client, model):
    reply = respond(client, tools=RESPONSE_TOOLS, tool_choice="required", max_output_tokens=140, temperature=0)
    call = reply.output[0]
    assert call.type == "function_call" and call.call_id and call.name in ("get_weather", "get_time")
    assert json.loads(call.arguments)["city"] in CITY["enum"]
    items = [
        {"role": "user", "content": "What is the weather?"},
        call.model_dump(exclude_none=True),
        {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."},
    ]
    assert respond(client, input=items, tools=RESPONSE_TOOLS, tool_choice="none").output_text

    with client.responses.stream(
        model=model,
        input="And?",
        tools=RESPONSE_TOOLS,
        tool_choice="required",
        parallel_tool_calls=False,
        max_output_tokens=140,
    ) as stream:
        events = list(stream)
        final = stream.get_final_response()
    arguments = "".join(event.delta for event in events if event.type == "response.function_call_arguments.delta")
    calls = [item for item in final.output if item.type == "function_call"]
    assert arguments == "".join(call.arguments for call in calls) and calls


def test_what_a_response_cannot_honour_is_refused(client):
    for field, value in (
        ("previous_response_id", "resp_1"),
        ("background", True),
        ("tools", [{"type": "web_search"}]),
        ("truncation", "auto"),
    ):
        with pytest.raises(openai.BadRequestError) as error:
            respond(client, extra_body={field: value})
        assert error.value.param == field, field
    with pytest.raises(openai.NotFoundError):
        respond(client, model="gpt-4o")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_1")
