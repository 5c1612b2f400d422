"""Opens the reports that report.t made and uses them. Prints "ok NAME" or "not ok NAME: what there was"."""
import csv
import json
import math

from browser import Browser


def check(name, got, wanted=True):
    print(("ok " + name) if got == wanted else f"not ok {name}: got {got!r}, wanted {wanted!r}")


def scores(path):
    rows = csv.reader(open(path, encoding="utf-8", errors="replace", newline=""), delimiter="\t",
                      quoting=csv.QUOTE_NONE)
    return [float(r[1]) for r in rows if r[3] != "error"]


normal, anomalous = scores("normal.tsv"), scores("anomalous.tsv")
evaluated = json.load(open("eval.json"))


def counts(t):
    """What the table has to say at a threshold."""
    fp, tp = sum(s > t for s in normal), sum(s > t for s in anomalous)
    return [len(normal) - fp, fp, len(anomalous) - tp, tp]


def shown(b):
    return [int(x) for x in b.run(
        "return ['n-no','n-yes','a-no','a-yes'].map(i => document.getElementById(i).textContent)")]


def threshold(b):
    return float(b.run("return document.getElementById('value').value"))


def text(b, name):
    return b.run("return document.getElementById(arguments[0]).textContent", name)


def contrast(b, selector):
    """The ratio of WCAG 2 between a text and the opaque ground behind it."""
    colours = b.run("""
        let e = document.querySelector(arguments[0]);
        const text = getComputedStyle(e).color;
        for (; e; e = e.parentElement) {
            const ground = getComputedStyle(e).backgroundColor;
            if (!/rgba\\(.*, 0\\)/.test(ground)) return [text, ground];
        }
        return [text, 'rgb(255, 255, 255)'];""", selector)

    def light(colour):
        parts = [int(x) / 255 for x in colour[colour.index("(") + 1:-1].split(",")[:3]]
        r, g, bl = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * bl

    high, low = sorted((light(c) for c in colours), reverse=True)
    return (high + 0.05) / (low + 0.05)


with Browser(1200, 1000) as b:
    b.media("light")
    b.console(), b.requests()
    b.open("page/index.html")
    b.run("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
    check("the console is empty", b.console(), [])
    asked = [u.split(":")[0] + (":" + u.rsplit("/", 1)[-1] if u.startswith("file") else "") for u in b.requests()]
    check("nothing is asked for but the page itself", sorted(set(asked)), ["data", "file:index.html"])
    check("no name ran", b.run("return document.title"), "adtool: Evaluation report")
    check("no name became an element or an attribute", b.run(
        "return document.querySelectorAll('[onerror],[onload],img:not([src^=\"data:image/jpeg\"]),main script').length"), 0)
    names = b.run("return [...document.querySelectorAll('.name')].map(n => n.textContent)")
    for name in ('evil/<img src=x onerror=document.title="owned">.png', "evil/&lt;b&gt;'\"`.png",
                 "evil/k\ufffd\ufffd[31m\u202egnp.png"):
        check("a name is shown as it is: " + name.encode("ascii", "backslashreplace").decode(), name in names)
    check("a folder's name is shown as it is", b.run(
        "return [...document.querySelectorAll('tbody th')].some(n => n.textContent === '\"><svg onload=document.title=\"owned\">')"))
    check("the picture that could not be read is named", b.run(
        "return document.getElementById('refused').parentElement.textContent.includes('<script>document.title')"))
    check("every picture shows", b.run(
        "return Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth > 0))).then(a => a.length > 20 && a.every(x => x))"))
    check("every picture says what it is, or that it is beside its name",
          b.run("return [...document.images].every(i => i.hasAttribute('alt'))"))

    at = evaluated["threshold"]["value"]
    confusion = evaluated["confusion"]
    check("at the model's threshold the table says what eval says", shown(b),
          [confusion[k] for k in ("true_negatives", "false_positives", "false_negatives", "true_positives")])
    check("and what the rows say", shown(b), counts(at))
    check("the field has the model's threshold", threshold(b), at)

    # Worst first: misses by their scores upwards, then false alarms, then the others downwards.
    cards = b.run("return [...document.querySelectorAll('.card')].map(c => [c.dataset.truth, Number(c.dataset.score)])")
    rank = {("a", False): 0, ("n", True): 1, ("a", True): 2, ("n", False): 3}
    wanted = sorted(cards, key=lambda c: (rank[c[0], c[1] > at], c[1] if rank[c[0], c[1] > at] == 0 else -c[1]))
    check("misses and false alarms come first, the worst first", cards, wanted)
    check("every picture has a card", len(cards), len(normal) + len(anomalous))

    box = b.run("""const r = document.getElementById('hist').getBoundingClientRect(), d = JSON.parse(
        document.getElementById('data').textContent); return [r.left, r.top, r.width, r.height, d.frame, d.axis]""")
    left, top, width, height, frame, axis = box
    y = top + height / 2
    grip = b.run("const r = document.querySelector('#cut line').getBoundingClientRect(); return r.left + r.width / 2")
    seen = {tuple(shown(b))}
    for share in (0.1, 0.35, 0.6, 0.85):
        x = left + share * width
        b.drag(grip, y, x, y)
        t = threshold(b)
        place = (share * frame[2] - frame[0]) / (frame[1] - frame[0])
        expected = (axis["low"] * (axis["high"] / axis["low"]) ** place if axis["log"]
                    else axis["low"] + place * (axis["high"] - axis["low"]))
        check(f"dragged to {share}: the threshold of that place", math.isclose(
            t, expected, rel_tol=0.02, abs_tol=0.005 * (axis["high"] - axis["low"])))
        check(f"dragged to {share}: the counts of that threshold", shown(b), counts(t))
        grip = b.run("const r = document.querySelector('#cut line').getBoundingClientRect(); return r.left + r.width / 2")
        check(f"dragged to {share}: the line is there", abs(grip - x) < 1.5)
        seen.add(tuple(shown(b)))
    check("the numbers moved", len(seen) >= 3)
    tn, fp, fn, tp = shown(b)
    check("F1 follows", text(b, "f1"), f"{2 * tp / (2 * tp + fp + fn):.4f}")
    check("so do the kinds of defect", sum(int(text(b, f"found-{i}")) for i in range(len(evaluated["defects"]))), tp)
    check("and the badges", b.run(
        "return [...document.querySelectorAll('.badge')].filter(x => x.textContent === 'found').length"), tp)
    check("and the dot on the ROC curve", b.run(
        "const d = JSON.parse(document.getElementById('data').textContent).square, m = document.getElementById('roc-mark');"
        "return [(m.cx.baseVal.value - d[0]) / (d[1] - d[0]), (d[3] - m.cy.baseVal.value) / (d[3] - d[2])]"
        ".map((v, i) => Math.abs(v - arguments[i]) < 0.002)", fp / len(normal), tp / len(anomalous)), [True, True])

    b.run("document.getElementById('reset').click()")
    check("the button goes back", [threshold(b), shown(b)], [at, counts(at)])
    b.key("\ue014")  # right; the button gave the focus to the slider
    check("the keyboard moves it too", at < threshold(b) and shown(b) == counts(threshold(b)))
    b.run("const v = document.getElementById('value'); v.value = '-1'; v.dispatchEvent(new Event('input'))")
    check("a number can be typed", shown(b), counts(-1))
    check("the slider has a name", [n["name"]["value"] for n in b.cdp("Accessibility.getFullAXTree")["nodes"]
                                    if n.get("role", {}).get("value") == "slider"], ["Try another threshold"])
    check("and says the threshold", b.run(
        "return document.getElementById('range').getAttribute('aria-valuetext')"), "threshold -1")
    check("still nothing on the console", b.console(), [])

    grounds = []
    for scheme in ("light", "dark"):
        b.media(scheme)
        grounds.append(b.run("return getComputedStyle(document.body).backgroundColor"))
        for selector in ("h1", ".lead", ".tile .note", "td.num", ".figures", ".badge", "code", "footer"):
            check(f"{scheme}: {selector} can be read", contrast(b, selector) >= 4.5)
    check("dark is dark", grounds[0] != grounds[1])
    b.media("dark", "print")
    check("printed it is dark on white", b.run("return getComputedStyle(document.body).backgroundColor"),
          "rgb(255, 255, 255)")
    check("printed it has no controls", b.run("return document.getElementById('control').offsetHeight"), 0)
    check("it prints", b.pdf()[:5], b"%PDF-")
    b.media("light")
    for wide in (360, 768, 1600):
        b.size(wide, 900)
        check(f"{wide} pixels wide: nothing sticks out", b.run("return document.documentElement.scrollWidth"), wide)

    for page, title in (("trained", "Training"), ("scored", "Score"), ("all", "Score"), ("ppca", "Evaluation")):
        b.size(1200, 1000)
        b.open(page + "/index.html")
        b.run("const v = document.getElementById('value'); v.value = '-1e9'; v.dispatchEvent(new Event('input'))")
        check(f"{page}: opens and moves", [b.run("return document.title"), b.console(), b.run(
            "return [...document.querySelectorAll('[id$=-no]')].map(n => n.textContent).every(n => n === '0')")],
            [f"adtool: {title} report", [], True])

    b.open("warned/index.html")
    b.run("document.getElementById('reset').scrollIntoView()")
    rows = scores("warned.tsv")
    warning = b.run("return JSON.parse(document.getElementById('data').textContent).warning")
    own = threshold(b)

    def called(t):
        return [sum(s <= min(t, warning) for s in rows), sum(warning < s <= t for s in rows), sum(s > t for s in rows)]

    def told():
        return [int(text(b, "u-" + k)) for k in ("no", "suspect", "yes")] + [b.run(
            "return [...document.querySelectorAll('.badge')].filter(x => x.textContent === arguments[0]).length", w)
            for w in ("normal", "suspect", "anomalous")]

    check("a softer limit: the counts and the badges", told(), called(own) * 2)
    check("a softer limit: some are suspect", called(max(rows))[1] > 0)
    for t in (max(rows), (warning + own) / 2, warning - abs(warning) / 2, -1):
        b.run("const v = document.getElementById('value'); v.value = arguments[0];"
              "v.dispatchEvent(new Event('input'))", repr(t))
        check(f"a softer limit: and at {t:.3g}", told(), called(t) * 2)
    for scheme in ("light", "dark"):
        b.media(scheme)
        b.run("document.getElementById('reset').click()")
        check(f"{scheme}: what is suspect can be read", contrast(b, ".badge.warn") >= 4.5)
    b.media("light")
    check("a softer limit: nothing on the console", b.console(), [])

    b.cdp("Emulation.setScriptExecutionDisabled", value=True)
    b.open("page/index.html")
    b.cdp("Emulation.setScriptExecutionDisabled", value=False)
    check("without scripts it says the same", shown(b), counts(at))
    check("and offers no control that would not work", b.run("return document.getElementById('control').offsetHeight"), 0)
