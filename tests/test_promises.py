"""What the README promises, sentence by sentence, with the tests that hold it.

A sentence that is reworded, or a test that is renamed, shows here: every promise must stand
in the README, and every test named must exist.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Words of the README, and ``file: test test ...`` that hold them.
PROMISES = {
    "every decision is made by a patched run, none by a gradient estimate": [
        "test_naive.py: same_edges_as_a_whole_forward_for_every_edge same_edges_with_other_ablations",
        "test_acdc.py: an_edge_goes_if_its_removal_raises_the_metric_by_less_than_the_threshold",
    ],
    "tests hold it to the decisions of a slow, plain reference": [
        "test_fast.py: the_fast_engine_makes_the_references_decisions",
    ],
    "With `--gates` it repeats the original code's decisions one by one": [
        "test_baselines.py: with_gates_every_decision_of_the_original_code_is_repeated",
    ],
    "the table](#models) is the tests'": ["test_families.py: the_readmes_table_is_of_these_families"],
    "A model whose components don't add up to its own logits, on its own prompts too, is refused": [
        "test_selfcheck.py: a_head_whose_output_weights_are_off_is_found",
        "test_prompt_check.py: a_run_on_prompts_that_fail_the_check_is_refused "
        "dead_vocabulary_doesnt_disarm_the_check_at_opening",
    ],
    "so is one whose folder holds what it wouldn't use": [
        "test_weights.py: more_layers_than_the_config_says_are_refused weights_that_fit_nowhere_are_refused",
    ],
    "it says how prompts begin, how the first answers read, and how well the model does the task": [
        "test_introduction.py: the_beginning_and_the_first_pair_are_said",
        "cli/test_prompt_options.py: bos_is_said_and_recorded",
    ],
    "it runs the circuit on held-out prompts, and ends with a verdict in words": [
        "cli/test_resume.py: the_end_of_a_run_is_a_verdict",
        "test_verdict.py: it_is_never_silent",
    ],
    "Prompts whose words don't stand at the same tokens are errors": [
        "test_alignment.py: words_that_move_are_refused words_of_as_many_tokens_line_up",
    ],
    "The float noise of the metric is measured and compared with the threshold": [
        "cli/test_commands.py: a_threshold_below_the_noise_is_warned_of",
    ],
    "Figures are shown with the circuit that they were measured on, and with no other": [
        "test_provenance.py: an_edited_file_has_no_figures every_picture_and_table_says_so",
    ],
    "Kill it, `acdc resume RUN`, and it ends with the same circuit": [
        "runs/test_interrupted.py: kill_9_at_three_moments_loses_nothing a_run_goes_on_from_any_byte_of_its_trace",
        "cli/test_resume.py: a_run_goes_on_by_its_folder_alone_from_anywhere",
    ],
    "Diagrams need no Graphviz on the machine": ["test_export.py: every_format_is_what_it_says"],
    "After `Ctrl-C`, `acdc resume runs/ioi` goes on": [
        "cli/test_going_on.py: ctrl_c_keeps_the_checkpoint_and_says_how_to_go_on"
    ],
    "acdc show runs/ioi --json": [
        "cli/test_show.py: json_is_the_whole_run csv_has_a_line_an_edge top_gives_the_strongest"
    ],
    "acdc export runs/ioi --out figure.pdf": ["cli/test_overwriting.py: the_ending_says_the_format"],
    '--top 30 --title "IOI in GPT-2"': ["cli/test_drawing.py: title_and_top_reach_the_picture"],
    "`(m(circuit) - m(ablated)) / (m(model) - m(ablated))`": [
        "test_verdict.py: faithfulness_is_the_share_of_the_model_s_behaviour",
    ],
    "the answers may be left out": ["test_promptfile.py: answers_may_be_left_out"],
    "Other fields are kept as tags": ["test_prompt_file_formats.py: what_else_is_there_is_kept_as_tags"],
    "AutoCircuit's JSON": ["cli/test_prompt_files.py: autocircuits_file_is_read"],
    "`--answers COLUMN --wrong-answers COLUMN` name other columns": [
        "cli/test_prompt_files.py: columns_are_named_by_options",
    ],
    "`--skip-bad-pairs` leaves out pairs that don't fit, counts them and names the first ten": [
        "test_skipping.py: each_kind_is_left_out_counted_and_named the_first_ten_are_named",
    ],
    "What can't be judged, as token ids can't, isn't called lined up": [
        "test_alignment.py: what_can_not_be_told_is_not_called_lined_up",
    ],
    "`--n` pairs are drawn by `--seed` and up to as many others held out": [
        "test_splitting.py: the_seed_draws_the_pairs_which_keep_their_order the_seed_of_a_run_draws_what_is_held_out",
    ],
    "Pairs with one clean prompt or one `group` stay together": [
        "test_splitting.py: pairs_of_one_clean_prompt_are_never_on_both_sides "
        "a_group_is_never_on_both_sides marks_decide",
    ],
    "a function of the circuit's logits, the model's and the answers": [
        "test_own_metric.py: a_function_decides_like_the_metric_that_it_is",
    ],
    "A model in memory is copied, without hooks, and stays as it is": [
        "test_callers_models.py: a_model_stays_as_it_is hooks_on_a_model_are_not_part_of_it",
    ],
    "results are the same bits inside `torch.inference_mode()`, `autocast`": [
        "test_torchstate.py: a_run_is_the_same_inside"
    ],
    "exactly one BOS (`yes`, as EAP-IG, MIB and AutoCircuit have it for GPT-2)": [
        "test_bos_in_other_tools.py: the_kl_is_that_of_prompts_that_begin_so",
    ],
    "by default as many as suit the model and its prompts, one for small ones": [
        "test_threads.py: a_small_model_runs_on_one_thread_and_torch_gets_its_own_back",
    ],
    "with what differs from the defaults, and a number where another run has taken the name": [
        "cli/test_resume.py: other_settings_have_folders_of_their_own a_name_that_is_taken_gets_a_number",
    ],
    "the decisions are the same. Half precision always runs on the reference engine": [
        "test_fast.py: half_precision_runs_on_the_reference_engine",
    ],
    "a decision that its own numbers don't bear out, a line that is gone, doubled or moved": [
        "test_run_check.py: a_flipped_decision_is_found_on_every_line "
        "a_line_that_is_gone_twice_there_or_in_another_place_is_found a_file_of_another_run_is_found",
    ],
    'shown as "edited since it was measured", without figures, and a lost one is made again from the trace': [
        "test_run_check.py: an_edited_circuit_is_no_error_but_said a_lost_or_torn_circuit_is_rebuilt",
    ],
    "quantised weights, unmerged adapters, more layers or biases than the config says": [
        "test_weights.py: a_config_of_quantised_weights_is_refused an_adapter_among_the_weights_is_refused "
        "biases_that_the_config_does_not_announce_are_refused",
    ],
    "Only safetensors are read, code in a folder is never run": [
        "test_no_code.py: pickled_weights_are_never_read code_beside_a_model_is_not_run",
        "test_weights.py: an_index_that_names_other_files_is_refused",
    ],
    "no number in a config decides how much memory is taken": [
        "test_hostile_models.py: sizes_of_hugging_face_models_are_bounded_by_the_weights "
        "sizes_of_named_weights_are_bounded_by_the_weights",
    ],
    "Two BOS, an EOS at the end, the marks of another model's chat template": ["test_special_tokens.py: *"],
    "a space between prompt and answer that is missing or doubled": ["test_seams.py: the_seam"],
    "duplicates, a right answer among the wrong ones, ids of another tokenizer": ["test_degenerate_data.py: *"],
    "acdc gives a right result or one sentence": ["test_fuzz.py: circuits run_folders prompt_files model_folders"],
    "Text from files stays text, on the terminal and in diagrams": [
        "cli/test_terminal.py: discover_and_all_that_shows_its_run_print_names_as_text",
        "test_export.py: what_a_user_wrote_is_escaped",
    ],
    "only acdc's own files are written over": ["cli/test_overwriting.py: a_file_beside_a_circuit_elsewhere_is_left"],
    "nothing of the folder that it is started in is run (`python -m acdc` included, unless": [
        "test_isolation.py: drawing_runs_nothing_of_the_working_directory "
        "the_module_runs_nothing_of_the_working_directory",
    ],
}


@pytest.fixture(scope="module")
def readme():
    return " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_stands_in_the_readme_and_is_held(readme, promise):
    assert promise in readme
    assert PROMISES[promise]
    for named in PROMISES[promise]:
        file, _, tests = named.partition(": ")
        there = set(re.findall(r"^def test_(\w+)", (ROOT / "tests" / file).read_text(encoding="utf-8"), re.MULTILINE))
        assert there
        assert set(tests.split()) - {"*"} <= there, named


def test_every_point_of_the_introduction_is_a_promise(readme):
    points = re.findall(r"- \*\*(.*?)(?= - \*\*| ## )", readme)
    assert len(points) == 7  # four at the top, three of what isn't trusted
    for point in points:
        assert any(promise in point for promise in PROMISES), point


def test_where_things_live_names_every_room():
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Where things live")[2]
    rows = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    named = [name.removeprefix("acdc/").rstrip("/") for row in rows for name in re.findall(r"`(.*?)`", row)]
    inside = {path.name for path in (ROOT / "acdc").iterdir() if not path.name.startswith(("_", "."))}
    assert inside - {"py.typed", "tasks"} <= set(named)
    for name in named:
        assert (ROOT / "acdc" / name).exists() or (ROOT / name).exists(), name
