"""``acdc task new``: a file that runs as it stands, and is never written over."""


def test_a_new_template_can_be_checked(call):
    code, out, _ = call("task", "new", "mine")
    assert code == 0
    assert "wrote mine.toml" in out
    code, out, _ = call("task", "check", "mine.toml", "--model", "tiny-tasks", "--n", 5)
    assert code == 0
    assert "mine.toml: 5 pairs of 14 tokens, lined up token by token" in out
    code, _, err = call("task", "new", "mine.toml")
    assert (code, err.strip()) == (2, "acdc: mine.toml is there already; choose another name.")


def test_a_copy_of_a_task(call):
    code, out, _ = call("task", "new", "mine", "--from", "pronouns")
    assert code == 0
    code, out, _ = call("task", "check", "mine.toml", "--model", "tiny-tasks", "--n", 5, "--corruption", "same-gender")
    assert code == 0
    assert "mine.toml: 5 pairs of" in out


def test_a_class_cant_be_copied(refused):
    said = refused("task", "new", "mine", "--from", "brackets")
    assert said.startswith("brackets is no template file, but Python or pairs of prompts;")
    assert "copy a task that is one, like ioi" in said
