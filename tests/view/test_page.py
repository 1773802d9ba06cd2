import json
import re

from acdc.explorer.page import SCRIPTS, page

HOSTILE = '</script><script>alert(1)</script><!-- data --> & \u2028 "quoted" \\ <img src=x onerror=alert(1)>'


def test_whatever_text_the_data_hold_it_is_the_same_behind_json():
    made = page("a title", {"graph": HOSTILE, HOSTILE: [1, None, "\ud800"]})
    (held,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', made, re.DOTALL)
    assert json.loads(held) == {"graph": HOSTILE, HOSTILE: [1, None, "\ud800"]}


def test_a_title_is_text():
    assert "<title>&lt;/title&gt;&lt;b&gt;</title>" in page("</title><b>", {})


def test_the_scripts_stand_in_one_module_that_imports_nothing():
    made = page("", {})
    (script,) = re.findall(r'<script type="module">(.*?)</script>', made, re.DOTALL)
    assert "import " not in re.sub("//.*", "", script)
    assert "\nexport " not in script
    assert len(SCRIPTS) == len(set(SCRIPTS))
