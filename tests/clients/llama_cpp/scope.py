WORDS = {
    "But she couldn't",
    '(Suddenly)+|\\{ " Sarax.',
    "^ blue",
    "(Aside|she|felter|alonger)+",
    "Whillicter",
    "(Suddenly)+",
    "(going|bed)+",
    "(princesses|everyone|kids|Anna|forest)+",
    "[ -3000 ]",
    "(\\{|John)+",
}
def reason(name): return None
