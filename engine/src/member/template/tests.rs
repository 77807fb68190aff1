use super::*;
use proptest::prelude::*;

mod bounds;
mod real_life;

const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

const LLAMA_3: &str = "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";

/// The head of Llama 3.1, with the date.
const LLAMA_31: &str = r#"{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{{- "Today Date: " + date_string + "\n\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"#;

const GEMMA: &str = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}";

const MISTRAL_OLD: &str = "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}";

/// v0.3: the system message goes into the last message of the user.
const MISTRAL_3: &str = r#"{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
"#;

const PHI_3: &str = "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}";

const QWEN_25: &str = r#"{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"#;

/// Cuts earlier thoughts, and keeps those after the last question.
const QWEN_3: &str = r#"{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {{- '<|im_start|>' + message.role + '\n<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}"#;

const DEEPSEEK_R1: &str = "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<｜User｜>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is not none %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- endfor -%}{% if add_generation_prompt and not ns.is_tool %}{{'<｜Assistant｜><think>\\n'}}{% endif %}";

const ZEPHYR: &str = "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}";

const COMMAND_R: &str = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% elif false == true %}{% set loop_messages = messages %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% if system_message != false %}{{ '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>' + system_message + '<|END_OF_TURN_TOKEN|>' }}{% endif %}{% for message in loop_messages %}{% set content = message['content'] %}{% if message['role'] == 'user' %}{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>' }}{% elif message['role'] == 'assistant' %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>'  + content.strip() + '<|END_OF_TURN_TOKEN|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}";

/// SmolLM 3: a switch in the system message, and blocks for training.
const SMOLLM_3: &str = r#"{%- set reasoning_mode = "/think" -%}
{%- if messages[0].role == "system" -%}
    {%- set system_message = messages[0].content -%}
    {%- if "/no_think" in system_message -%}
        {%- set reasoning_mode = "/no_think" -%}
    {%- endif -%}
    {%- set custom_instructions = system_message.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- endif -%}
{{- "<|im_start|>system\nReasoning Mode: " + reasoning_mode + "\n\n" -}}
{%- if custom_instructions -%}{{- custom_instructions -}}{%- endif -%}
{{- "<|im_end|>\n" -}}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else "" -%}
    {%- if message.role == "user" -%}
        {{ "<|im_start|>" + message.role + "\n" + content + "<|im_end|>\n" }}
    {%- elif message.role == "assistant" -%}
        {%- generation -%}
        {{ "<|im_start|>assistant\n" + content.lstrip("\n") + "<|im_end|>\n" }}
        {%- endgeneration -%}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ "<|im_start|>assistant\n" }}
{%- endif -%}
"#;

const REAL_LIFE: &[(&str, &str)] = &[
    ("ChatML", CHATML),
    ("Llama 3", LLAMA_3),
    ("Llama 3.1", LLAMA_31),
    ("Gemma", GEMMA),
    ("Mistral", MISTRAL_OLD),
    ("Mistral 0.3", MISTRAL_3),
    ("Phi 3", PHI_3),
    ("Qwen 2.5", QWEN_25),
    ("Qwen 3", QWEN_3),
    ("DeepSeek R1", DEEPSEEK_R1),
    ("Zephyr", ZEPHYR),
    ("Command R", COMMAND_R),
    ("SmolLM 3", SMOLLM_3),
];

fn message(role: Speaker, content: &str) -> Message {
    Message { role, content: content.into() }
}

fn system(content: &str) -> Message {
    message(Speaker::System, content)
}

fn user(content: &str) -> Message {
    message(Speaker::User, content)
}

fn assistant(content: &str) -> Message {
    message(Speaker::Assistant, content)
}

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::jinja(source, "<s>", "</s>").unwrap_or_else(|error| panic!("{error}"))
}

/// The prompt with the messages' text in guillemets.
fn show(source: &str, messages: &[Message]) -> String {
    show_pieces(&template(source).render(messages).unwrap_or_else(|error| panic!("{error}")))
}

fn show_pieces(pieces: &[Piece]) -> String {
    let show = |piece: &Piece| if piece.trusted { piece.text.clone() } else { format!("«{}»", piece.text) };
    pieces.iter().map(show).collect()
}

#[test]
fn chatml() {
    assert_eq!(
        show(CHATML, &[system("Be brief."), user("Hi"), assistant("Yo"), user("<|im_end|>")]),
        "<|im_start|>system\n«Be brief.»<|im_end|>\n<|im_start|>user\n«Hi»<|im_end|>\n<|im_start|>assistant\n«Yo»<|im_end|>\n\
         <|im_start|>user\n«<|im_end|>»<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn llama_3_trims() {
    assert_eq!(
        show(LLAMA_3, &[user("\n Hi <|eot_id|> \n")]),
        "<s><|start_header_id|>user<|end_header_id|>\n\n«Hi <|eot_id|>»<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    );
}

#[test]
fn llama_31_gets_the_date() {
    let prompt = show(LLAMA_31, &[user("Hi")]);
    let year = jiff::ZonedDateTime::now().year();
    let expected = format!(" {year}\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n«Hi»<|eot_id|>");
    assert!(prompt.contains(&expected), "{prompt}");
}

#[test]
fn gemma_gets_the_system_message_with_the_first_question() {
    assert_eq!(
        show(GEMMA, &[system("Be brief."), user("Hi"), assistant("Yo"), user("Bye ")]),
        "<s><start_of_turn>user\n«Be brief.\n\nHi»<end_of_turn>\n<start_of_turn>model\n«Yo»<end_of_turn>\n\
         <start_of_turn>user\n«Bye»<end_of_turn>\n<start_of_turn>model\n"
    );
}

#[test]
fn mistral() {
    assert_eq!(
        show(MISTRAL_OLD, &[system("Be brief."), user("Hi"), assistant("Yo"), user("[INST]")]),
        "<s>[INST] «Be brief.\n\nHi» [/INST]«Yo»</s>[INST] «[INST]» [/INST]"
    );
    assert_eq!(
        show(MISTRAL_3, &[system("Be brief."), user("Hi"), assistant("Yo "), user("Bye")]),
        "<s>[INST] «Hi»[/INST] «Yo»</s>[INST] «Be brief.\n\nBye»[/INST]"
    );
}

#[test]
fn two_questions_in_a_row_are_joined_for_a_template_that_wants_turns() {
    assert_eq!(show(MISTRAL_OLD, &[user("One"), user("Two")]), "<s>[INST] «One\n\nTwo» [/INST]");
    assert_eq!(show(MISTRAL_3, &[system("S"), user("One"), user("Two")]), "<s>[INST] «S\n\nOne\n\nTwo»[/INST]");
}

#[test]
fn phi_3_without_a_system_message_of_no_words() {
    assert_eq!(show(PHI_3, &[system(""), user("Hi")]), "<|user|>\n«Hi»<|end|>\n<|assistant|>\n");
}

#[test]
fn qwen_25_brings_its_own_system_message() {
    assert_eq!(
        show(QWEN_25, &[user("Hi")]),
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n\
         <|im_start|>user\n«Hi»<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn earlier_thoughts_are_cut_where_the_template_cuts_them() {
    let messages = [user("1+1?"), assistant("<think>\nEasy.\n</think>\n\n2 "), user("Is </think> a word?")];
    assert_eq!(
        show(DEEPSEEK_R1, &messages),
        "<s><｜User｜>«1+1?»<｜Assistant｜>«\n\n2 »<｜end▁of▁sentence｜><｜User｜>«Is </think> a word?»<｜Assistant｜><think>\n"
    );
    assert_eq!(
        show(QWEN_3, &messages),
        "<|im_start|>user\n«1+1?»<|im_end|>\n<|im_start|>assistant\n«2 »<|im_end|>\n\
         <|im_start|>user\n«Is </think> a word?»<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn thoughts_typed_by_a_person_are_the_persons() {
    assert_eq!(show(CHATML, &[user("</think>")]), "<|im_start|>user\n«</think>»<|im_end|>\n<|im_start|>assistant\n");
}

#[test]
fn zephyr() {
    assert_eq!(
        show(ZEPHYR, &[system("Be brief."), user("Hi</s>")]),
        "<|system|>\n«Be brief.»</s>\n<|user|>\n«Hi</s>»</s>\n<|assistant|>\n"
    );
}

#[test]
fn command_r_strips() {
    assert_eq!(
        show(COMMAND_R, &[system("S"), user(" Hi ")]),
        "<s><|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>«S»<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>«Hi»\
         <|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"
    );
}

#[test]
fn a_switch_in_the_system_message_works() {
    assert_eq!(
        show(SMOLLM_3, &[system("/no_think"), user("Hi"), assistant("Yo"), user("Bye")]),
        "<|im_start|>system\nReasoning Mode: /no_think\n\n<|im_end|>\n<|im_start|>user\n«Hi»<|im_end|>\n\
         <|im_start|>assistant\n«Yo»<|im_end|>\n<|im_start|>user\n«Bye»<|im_end|>\n<|im_start|>assistant\n"
    );
    let prompt = show(SMOLLM_3, &[system("Be brief. /no_think"), user("Hi")]);
    assert!(prompt.contains("Mode: /no_think\n\n«Be brief.»"), "{prompt}");
}

#[test]
fn a_system_message_that_a_template_passes_over_goes_to_the_user() {
    let source = "{% for m in messages %}{% if m.role == 'user' %}[{{ m.content }}]{% endif %}{% endfor %}";
    assert_eq!(show(source, &[system("S"), user("U")]), "[«S\n\nU»]");
}

#[test]
fn what_a_template_makes_of_a_content_stays_the_persons() {
    let source = "<a>{% for m in messages %}{{ m.content[0] }}|{{ m.content }}|{{ m.content | upper }}{% endfor %}<b>";
    assert_eq!(show(source, &[user("<b>x")]), "<a>«<»|«<b>x»|«<B>X»<b>");
    let source =
        "{% for m in messages %}{{ m.content | length }}{{ m.content | tojson }}{{ m.content.split('b') }}{% endfor %}";
    assert_eq!(show(source, &[user("<b>")]), "3\"«<b>»\"['«<»', '«>»']");
    let source =
        "{% for m in messages %}{{ '<%s>' % m.content }}{{ '{:>5}'.format(m.content) }}{{ m | tojson }}{% endfor %}";
    assert_eq!(show(source, &[user("</s>")]), "<«</s>»> «</s>»{\"role\": \"user\", \"content\": \"«</s>»\"}");
    let source =
        "{% for m in messages %}{% set x = m.content %}{% for c in x %}{{ c }}{% endfor %}{{ x[::-1] }}{% endfor %}";
    assert_eq!(show(source, &[user("</s>")]), "«</s>>s/<»");
}

#[test]
fn a_template_sees_the_contents_as_they_are() {
    let source = "{% for m in messages %}{% if m.content != 'x' %}{{ raise_exception('no') }}{% endif %}{{ m.content }}{% endfor %}";
    assert_eq!(show(source, &[user("x")]), "«x»");
}

#[test]
fn private_use_characters_are_text() {
    assert_eq!(
        show(CHATML, &[user("a\u{100001}\u{100000}</think>")]),
        "<|im_start|>user\n«a\u{100001}\u{100000}</think>»<|im_end|>\n<|im_start|>assistant\n"
    );
    assert_eq!(show("\u{100001}", &[user("a")]), "\u{100001}");
}

#[test]
fn errors_say_where_and_what() {
    let error = |source: &str, messages: &[Message]| {
        let template = ChatTemplate::jinja(source, "", "")?;
        template.render(messages).map(|pieces| show_pieces(&pieces))
    };
    let broken = error("a\n{% if %}", &[]).unwrap_err();
    assert!(matches!(&broken, TemplateError::Broken { line: Some(2), .. }), "{broken}");
    assert_eq!(
        error("a\nb\n{{ messages | nothing }}", &[]).unwrap_err().to_string(),
        "it does not work (line 3): there is no filter `nothing`"
    );
    assert_eq!(
        error("a\n{{ raise_exception('Only one message, please') }}", &[user("a"), user("b")]).unwrap_err().to_string(),
        "it refuses the conversation (line 2): Only one message, please"
    );
}

#[test]
fn an_endless_template_ends() {
    let source = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}";
    let error = template(source).render(&[user("a")]).unwrap_err().to_string();
    assert!(error.contains("more time or memory"), "{error}");
}

#[test]
fn the_plain_form_has_labels_and_a_stop_string() {
    let plain = ChatTemplate::plain();
    let pieces = plain.render(&[system("Be brief. "), user("Hi\n"), assistant(" Yo"), user("Bye")]).unwrap();
    assert_eq!(show_pieces(&pieces), "«Be brief.»\n\nUser:« Hi»\nAssistant:« Yo»\nUser:« Bye»\nAssistant:");
    assert_eq!(plain.stop_strings(), ["\nUser:"]);
    assert_eq!(template(CHATML).stop_strings(), [""; 0]);
}

fn content() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "a",
        "Hi there",
        " ",
        "\n",
        "\u{3000}",
        "<|im_end|>",
        "<s>",
        "</s>",
        "[INST]",
        "[/INST]",
        "<think>",
        "</think>",
        "/think",
        "/no_think",
        "<start_of_turn>",
        "\u{100000}",
        "\u{100001}",
        "<|user|>",
        "user",
        "«",
        "<｜User｜>",
        "{{ 1 }}",
        "<tool_response>",
    ]);
    prop::collection::vec(word, 0..6).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    /// The template's own text is the same whatever the persons write.
    #[test]
    fn nothing_a_person_writes_is_trusted(contents in prop::collection::vec(content(), 5)) {
        let roles = [Speaker::System, Speaker::User, Speaker::Assistant, Speaker::User];
        let messages: Vec<_> = roles.iter().zip(&contents).map(|(&role, content)| message(role, content)).collect();
        for (name, source) in REAL_LIFE {
            let pieces = template(source).render(&messages).unwrap();
            let trusted: Vec<_> = pieces.iter().filter(|piece| piece.trusted).map(|piece| piece.text.as_str()).collect();
            let trusted = trusted.concat();
            let harmless: Vec<_> = roles.iter().map(|&role| message(role, "x")).collect();
            let expected = template(source).render(&harmless).unwrap();
            let allowed: String = expected.iter().map(|piece| piece.text.as_str()).collect();
            for control in ["<|im_end|>", "<s>", "</s>", "[INST]", "[/INST]", "<think>", "</think>", "<start_of_turn>", "<|user|>", "<｜User｜>"] {
                let (found, most) = (trusted.matches(control).count(), allowed.matches(control).count());
                prop_assert!(found <= most, "{name}: {control} in {}", show_pieces(&pieces));
            }
            prop_assert!(pieces.windows(2).all(|pair| pair[0].trusted != pair[1].trusted));
            prop_assert!(pieces.iter().all(|piece| !piece.text.is_empty()));
        }
    }
}
