"""The operator's logo: what of a file stays, what is refused, and what is said about it."""

from __future__ import annotations

import base64
import os
import re
import zlib
from contextlib import suppress
from pathlib import Path
from time import process_time
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.kit.every import every
from tests.kit.logos import (
    DRAWING,
    SIGNATURE,
    SVG,
    chunk,
    header,
    picture,
    plain_png,
    png,
    svg,
)
from webui.oauth_manager.configuration import Malformed
from webui.rendering.assets import folder
from webui.settings import png as pngs
from webui.settings import svg as svgs
from webui.settings.logo import read_logo

RUNS_OR_LOADS = re.compile(
    rb"script|javascript|on\w+=|foreignObject|style|@import|<!|&(?!amp;|lt;|gt;|quot;|#)|url\((?!#)"
    rb"|href=(?!\"#)|<image|<a |animate|<set|data:|xml-stylesheet|evil",
    re.IGNORECASE,
)
EVIL = "https://evil.test/x"
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "script of another file": f'<script href="{EVIL}"/>',
    "script of XHTML": '<h:script xmlns:h="http://www.w3.org/1999/xhtml">alert(1)</h:script>',
    "script of no namespace": '<script xmlns="">alert(1)</script>',
    "script inside a group": "<g><g><script>alert(1)</script></g></g>",
    "event": '<rect width="1" height="1" onclick="alert(1)"/>',
    "event in capitals": '<rect width="1" height="1" OnLoad="alert(1)"/>',
    "event of an animation": '<animate onbegin="alert(1)" attributeName="x" dur="1s"/>',
    "foreign object": "<foreignObject><p>hello</p></foreignObject>",
    "frame": '<iframe xmlns="http://www.w3.org/1999/xhtml" src="https://evil.test"/>',
    "link": '<a href="javascript:alert(1)"><rect width="9" height="9"/></a>',
    "animated link": '<set attributeName="href" to="javascript:alert(1)"/>',
    "animation": '<animate attributeName="x" to="9" dur="1s"/>',
    "picture of another site": f'<image href="{EVIL}.png"/>',
    "picture inside": '<image href="data:image/png;base64,AAAA"/>',
    "use of another file": f'<use href="{EVIL}.svg#a"/>',
    "use of another file by XLink": f'<use xlink:href="{EVIL}.svg#a"/>',
    "use of data": '<use href="data:image/svg+xml;base64,AAAA#a"/>',
    "use of a script": '<use href="javascript:alert(1)"/>',
    "gradient of another file": f'<linearGradient xlink:href="{EVIL}.svg#a"/>',
    "filter": '<filter id="f"><feImage href="https://evil.test/x"/></filter>',
    "handler": '<handler type="text/javascript">alert(1)</handler>',
    "listener": '<listener event="click" handler="#h"/>',
    "fill elsewhere": f'<rect fill="url({EVIL}#a)"/>',
    "fill elsewhere in quotation marks": f"<rect fill=\"url('{EVIL}#a')\"/>",
    "fill elsewhere behind a fill inside": f'<rect fill="url(#a) url({EVIL})"/>',
    "fill by escapes": f'<rect fill="u\\72l({EVIL})"/>',
    "fill by a set of images": f"<rect fill=\"image-set('{EVIL}' 1x)\"/>",
    "fill in capitals": f'<rect fill="URL({EVIL})"/>',
    "fill with an open end": '<rect fill="url(#a"/>',
    "fill by a variable": '<rect fill="var(--accent)"/>',
    "fill by a comment": f'<rect fill="url/**/({EVIL})"/>',
    "mask elsewhere": f'<rect mask="url({EVIL}#m)"/>',
    "style elsewhere": f'<rect style="fill:url({EVIL})"/>',
    "style of a property that is left out": f'<rect style="background:url({EVIL})"/>',
    "style by escapes": f'<rect style="fill:\\75rl({EVIL})"/>',
    "style with a comment that never ends": '<rect style="fill:red/* "/>',
    "style of Internet Explorer": '<rect style="fill:expression(alert(1))"/>',
    "sheet that imports": f'<style>@import "{EVIL}.css";</style>',
    "sheet that imports by url": f"<style>@import url({EVIL}.css);</style>",
    "sheet with a font": f"<style>@font-face {{ font-family: a; src: url({EVIL}) }}</style>",
    "sheet with media": "<style>@media print { path { fill: red } }</style>",
    "sheet for media": '<style media="print">path { fill: red }</style>',
    "sheet with a url": f"<style>.a {{ fill: url({EVIL}) }}</style>",
    "sheet with a selector of attributes": "<style>a[href^=x] { fill: red }</style>",
    "sheet in CDATA": f'<style><![CDATA[@import "{EVIL}";]]></style>',
    "sheet that closes itself": "<style>path{}&lt;/style>&lt;script>{}</style>",
}


def refused(body: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        svgs.cleaned(body)
    return str(caught.value)


def drawn(body: bytes) -> ET.Element:
    """The cleaned drawing, as a browser's parser reads it."""
    return ET.fromstring(svgs.cleaned(body))  # noqa: S314 -- our own output


class TestDrawings:
    @every("inside", HOSTILE)
    def test_what_could_run_or_load_is_refused_with_what_to_do(self, inside: str) -> None:
        said = refused(svg(inside))
        assert re.match("names an SVG with .+; [a-z]+ [a-z]+", said)
        assert "evil" not in said
        assert "alert" not in said

    def test_what_would_be_missed_is_told_to_be_drawn_otherwise(self) -> None:
        cure = "turn it into paths, or give a PNG"
        assert refused(svg("<image/>")).endswith(f"{cure} (line 1 of it)")
        said = refused(svg("\n<script/>"))
        assert said.endswith("<script>, which no logo may have; take it out (line 2 of it)")

    @every(
        "before",
        [
            "<!DOCTYPE svg>",
            '<!DOCTYPE svg SYSTEM "https://evil.test/x.dtd">',
            '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd">',
            '<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
            '<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        ],
    )
    def test_a_doctype_is_refused_whatever_it_declares(self, before: str) -> None:
        said = refused(f"{before}{DRAWING}".encode())
        assert said == "names an SVG with a DOCTYPE; take that line out (line 1 of it)"

    @every(
        "body",
        [
            b"<svg",
            svg("&unknown;"),
            svg("<g>"),
            b"<a/><b/>",
            b"<svg \xff>",
            b"<",
            DRAWING.encode() * 2,
            b"<html><body><svg/></body></html>",
            b"<svg viewBox='0 0 1 1'/>",
            b'<?xml version="1.0"?>',
        ],
    )
    def test_what_is_no_svg_is_refused(self, body: bytes) -> None:
        assert refused(body).startswith("names ")

    def test_a_file_in_another_encoding_is_told_to_be_saved_in_utf_8(self) -> None:
        text = f'<?xml version="1.0" encoding="ISO-8859-1"?><svg {SVG}><title>\xe9</title></svg>'
        assert refused(text.encode("latin-1")).endswith("save it again in UTF-8")

    def test_what_an_editor_adds_is_left_out(self) -> None:
        body = svg(
            "<?php echo 1 ?><!-- made by evil -->"
            '<color-profile name="evil" xlink:href="file:///evil.icc"/><view id="evil"/>'
            "<title>evil</title><desc>evil</desc><metadata><script>evil</script></metadata>"
            '<ink:view xmlns:ink="http://ink.test" ink:evil="1"><ink:grid/></ink:view>'
            '<path d="M0 0h9" data-name="evil" ink:label="evil" xmlns:ink="http://ink.test"/>'
            "evil words between"
        )
        assert b"evil" not in svgs.cleaned(body)
        (path,) = drawn(body)
        assert path.attrib == {"d": "M0 0h9"}

    def test_a_stylesheet_of_the_file_is_left_out(self) -> None:
        body = b'<?xml-stylesheet href="https://evil.test/x.css"?>' + DRAWING.encode()
        assert not RUNS_OR_LOADS.search(svgs.cleaned(body))

    def test_a_drawing_keeps_what_is_drawn(self) -> None:
        body = svg(
            '<defs><linearGradient id="a"><stop offset="0" stop-color="red"/></linearGradient>'
            '<linearGradient id="b" xlink:href="#a" gradientTransform="rotate(45)"/>'
            '<clipPath id="c"><circle r="9"/></clipPath></defs>'
            '<g clip-path="url(#c)" transform="translate(1, 2) scale(2)">'
            "<rect width='9' height='9' rx='2' fill=\"url('#b') none\"/>"
            '<path id="p" d="M0,0L1.5e1-3z" stroke="rgb(1 2 3 / .5)"/><use href="#p"/></g>'
            '<text x="1" font-family="Arial, \'Helvetica Neue\'">A &amp; &lt;B&gt;</text>'
        )
        root = drawn(body)
        names = [element.tag.rpartition("}")[2] for element in root.iter()]
        assert names == [
            *("svg", "defs", "linearGradient", "stop", "linearGradient", "clipPath", "circle"),
            *("g", "rect", "path", "use", "text"),
        ]
        rect = next(element for element in root.iter() if element.tag.endswith("rect"))
        assert rect.attrib["fill"] == "url('#b') none"
        assert next(e for e in root.iter() if e.tag.endswith("text")).text == "A & <B>"

    def test_styles_become_attributes_in_the_order_of_css(self) -> None:
        body = svg(
            "<style>/* of an editor */ #one { stroke: red } .a, .b { fill: url(#g); opacity: .5 }"
            " * { fill: blue; stroke: blue } path { fill: green; -x-thing: 1 }</style>"
            '<path id="one" class="b" fill="black" style="opacity:1!important;filter:none"/>'
            '<path class="none" fill="black"/><rect stroke="black"/>'
        )
        assert [element.attrib for element in drawn(body)] == [
            {"id": "one", "fill": "url(#g)", "stroke": "red", "opacity": "1"},
            {"fill": "green", "stroke": "blue"},
            {"stroke": "blue", "fill": "blue"},
        ]
        assert b"style" not in svgs.cleaned(body)

    @every(
        ("root", "view"),
        [
            ('viewBox="0 0 32 32"', "0 0 32 32"),
            ('viewBox=" -1.5,-2  3e1,.5 " width="100%"', " -1.5,-2  3e1,.5 "),
            ('width="120" height="40px"', "0 0 120 40"),
            ('viewBox="0 0 32 32" width="999" height="1"', "0 0 32 32"),
        ],
    )
    def test_a_drawing_fits_into_any_tile(self, root: str, view: str) -> None:
        found = drawn(svg('<path d="M0 0"/>', root)).attrib
        assert found == {"viewBox": view}

    @every(
        "root",
        [
            "",
            'width="10"',
            'width="100%" height="100%"',
            'width="1in" height="2cm"',
            'viewBox="0 0 0 10"',
            'viewBox="0 0 -1 10"',
            'viewBox="0 0 10"',
            'viewBox="0 0 1e999 10"',
            'viewBox="0 0 NaN inf"',
        ],
    )
    def test_a_drawing_without_a_size_is_told_how_to_give_it_one(self, root: str) -> None:
        assert "give its first element a viewBox" in refused(svg("<g/>", root))

    def test_clones_of_clones_are_refused(self) -> None:
        laughs = "".join(
            f'<g id="a{i + 1}"><use href="#a{i}"/><use href="#a{i}"/><use href="#a{i}"/></g>'
            for i in range(30)
        )
        assert "too often" in refused(svg(f'<g id="a0"/>{laughs}'))
        masks = "".join(
            f'<mask id="m{i + 1}"><g mask="url(#m{i})"/><g mask="url(#m{i})"/></mask>'
            for i in range(30)
        )
        assert "too often" in refused(svg(f'<mask id="m0"/>{masks}<g mask="url(#m30)"/>'))
        by_class = "".join(f"<style>.c{i}{{mask:url(#n{i})}}</style>" for i in range(30)) + "".join(
            f'<mask id="n{i + 1}"><g class="c{i}"/><g class="c{i}"/></mask>' for i in range(30)
        )
        assert "too often" in refused(svg(f'{by_class}<g mask="url(#n30)"/>'))

    @every(
        "inside",
        [
            '<g id="a"><use href="#a"/></g>',
            '<pattern id="a"><g fill="url(#a)"/></pattern><g fill="url(#a)"/>',
        ],
    )
    def test_what_contains_itself_is_refused(self, inside: str) -> None:
        assert "too often" in refused(svg(inside))

    def test_what_is_too_deep_is_refused(self) -> None:
        assert "deep" in refused(svg("<g>" * 5000 + "</g>" * 5000))

    def test_a_style_for_very_many_elements_does_not_make_a_large_file(self) -> None:
        family = "x" * 20_000
        body = svg(f"<style>g{{font-family:{family}}}</style>" + "<g/>" * 1000)
        assert "too often" in refused(body)

    @every(
        "inside",
        {
            "word": f'<g style="fill:{"x" * 60_000}"/>',
            "words before parentheses": f'<g fill="{"rgb (" * 12_000}"/>',
            "blanks": f'<g style="fill:red{" " * 60_000}x"/>',
            "marks": f'<g style="fill:{"! " * 30_000}"/>',
            "local names": f'<g fill="{"url(" * 12_000}#a"/>',
            "local names that never end": f'<g fill="url(#{"a" * 60_000}"/>',
            "comments": f"<style>{'/*' * 30_000}</style>",
            "selectors": f"<style>{'a,' * 30_000}{{}}</style>",
            "declarations": f'<g style="{";:" * 30_000}"/>',
            "size": f'<svg viewBox="{"0 " * 30_000}"/>',
            "rules": f"<style>{'*{fill:red}' * 2_000}</style>{'<g/>' * 8_000}",
        },
    )
    def test_a_long_value_is_read_in_no_time(self, inside: str) -> None:
        began = process_time()
        with suppress(Malformed):
            svgs.cleaned(svg(inside))
        assert process_time() - began < 1

    # But for the set of symbols, which has tokens of the page.
    @every("path", sorted(folder("static").rglob("[!i]*.svg")))
    def test_our_own_drawings_stay_as_they_look(self, path: Path) -> None:
        kept = drawn(path.read_bytes())
        written = ET.parse(path).getroot()  # noqa: S314 -- our own file
        assert [e.tag for e in kept.iter()] == [
            e.tag for e in written.iter() if not e.tag.endswith("title")
        ]

    @examples(deadline=None)
    @given(
        st.recursive(
            st.sampled_from([*HOSTILE.values(), "<g/>", "text", "&amp;", "<!-- x -->"]),
            lambda inner: st.lists(inner, max_size=4).map(
                lambda parts: f'<g class="a" xlink:href="#b">{"".join(parts)}</g>'
            ),
            max_leaves=12,
        )
    )
    def test_whatever_is_inside_nothing_that_runs_or_loads_is_served(self, inside: str) -> None:
        try:
            clean = svgs.cleaned(svg(inside))
        except Malformed:
            return
        assert not RUNS_OR_LOADS.search(clean)
        assert svgs.cleaned(clean) == clean

    @examples(deadline=None)
    @given(st.binary(max_size=300), st.integers(0, 200))
    def test_of_a_damaged_file_nothing_else_is_raised(self, junk: bytes, at: int) -> None:
        whole = svg('<g fill="url(#a)" style="fill:red"><path d="M0 0"/></g>')
        try:
            clean = svgs.cleaned(whole[:at] + junk + whole[at:])
        except Malformed:
            return
        assert not RUNS_OR_LOADS.search(clean)


class TestPictures:
    @every(
        ("depth", "kind", "row"),
        [
            (8, 6, b"\0" + b"abcd" * 4),
            (8, 2, b"\0" + b"abc" * 4),
            (16, 6, b"\0" + b"abcdefgh" * 4),
            (8, 0, b"\0abcd"),
            (1, 0, b"\0a"),
            (2, 0, b"\1a"),
            (8, 4, b"\4abababab"),
        ],
    )
    def test_pictures_of_every_kind_are_taken(self, depth: int, kind: int, row: bytes) -> None:
        whole = png(header(depth=depth, kind=kind), picture(row * 3))
        assert pngs.cleaned(whole) == whole

    def test_a_palette_and_its_alpha_are_kept(self) -> None:
        colours = (chunk(b"PLTE", b"abcdef"), chunk(b"tRNS", b"\0\x80"))
        whole = png(header(kind=3, depth=4), *colours, picture(b"\0ab" * 3))
        assert pngs.cleaned(whole) == whole

    def test_an_interlaced_picture_is_taken(self) -> None:
        # Of 8 by 8: one pixel, one, two, four, eight, sixteen, thirty-two.
        rows = [(1, 1), (1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (4, 8)]
        data = b"".join((b"\0" + b"abcd" * size) * count for count, size in rows)
        whole = png(header(8, 8, interlaced=1), picture(data))
        assert pngs.cleaned(whole) == whole
        thin = png(header(1, 1, interlaced=1), picture(b"\0abcd"))
        assert pngs.cleaned(thin) == thin

    def test_a_picture_in_several_parts_is_taken(self) -> None:
        packed = zlib.compress((b"\0" + b"abcd" * 4) * 3)
        parts = [chunk(b"IDAT", packed[:5]), chunk(b"IDAT"), chunk(b"IDAT", packed[5:])]
        whole = png(header(), *parts)
        assert pngs.cleaned(whole) == whole

    def test_texts_profiles_and_what_follows_the_end_are_left_out(self) -> None:
        beside = [
            chunk(b"tEXt", b"Comment\0canary"),
            chunk(b"iCCP", b"canary\0\0"),
            chunk(b"eXIf", b"canary"),
            chunk(b"acTL", b"\0\0\0\2\0\0\0\0"),
            chunk(b"prVt", b"canary"),
        ]
        whole = plain_png(beside=beside) + b"<script>canary</script>"
        assert pngs.cleaned(whole) == plain_png()

    @every(
        "body",
        {
            "nothing": SIGNATURE,
            "no picture": png(header()),
            "no header": png(picture(b"\0" * 51)),
            "header second": png(picture(b"\0" * 51), header()),
            "two headers": png(header(), header(), picture(b"\0" * 51)),
            "short header": png(chunk(b"IHDR", b"\0" * 12), picture(b"\0" * 51)),
            "no end": plain_png()[:-12],
            "cut": plain_png()[:-20],
            "wrong sum": plain_png()[:-30] + b"x" + plain_png()[-29:],
            "large length": SIGNATURE + b"\xff\xff\xff\xffIHDR" + b"\0" * 20,
            "depth": png(header(depth=3), picture(b"\0" * 51)),
            "depth of this kind": png(header(depth=16, kind=3), picture(b"\0" * 51)),
            "kind": png(header(kind=5), picture(b"\0" * 51)),
            "interlace": png(header(interlaced=2), picture(b"\0" * 51)),
            "palette missing": png(header(kind=3), picture(b"\0" * 15)),
            "palette of a part": png(header(kind=3), chunk(b"PLTE", b"ab"), picture(b"\0" * 15)),
            "palette too late": png(header(kind=3), picture(b"\0" * 15), chunk(b"PLTE", b"abc")),
            "palette in grey": png(header(kind=0), chunk(b"PLTE", b"abc"), picture(b"\0" * 15)),
            "alpha twice": png(header(), chunk(b"tRNS", b"\0\0"), picture(b"\0" * 51)),
            "picture too short": png(header(), picture(b"\0" * 50)),
            "picture too long": png(header(), picture(b"\0" * 52)),
            "bomb": png(header(), picture(b"\0" * 5_000_000)),
            "not packed": png(header(), chunk(b"IDAT", b"\0" * 51)),
            "half packed": png(header(), chunk(b"IDAT", zlib.compress(b"\0" * 51)[:-5])),
            "filter": png(header(), picture(b"\5" + b"\0" * 50)),
        },
    )
    def test_a_damaged_picture_is_refused(self, body: bytes) -> None:
        with pytest.raises(Malformed, match="names a PNG that is damaged; save it again"):
            pngs.cleaned(body)

    def test_a_critical_part_that_is_not_known_is_refused(self) -> None:
        with pytest.raises(Malformed, match="a part that is not known here"):
            pngs.cleaned(plain_png(beside=[chunk(b"EVIL")]))

    @every("size", [(513, 1), (1, 513), (0, 4), (4, 0), (2**31, 2**31)])
    def test_a_picture_that_is_too_large_is_told_to_be_scaled_down(
        self, size: tuple[int, int]
    ) -> None:
        with pytest.raises(Malformed, match=r"512 by 512 pixels.*scale it down"):
            pngs.cleaned(png(header(*size), picture(b"\0" * 51)))

    @examples(deadline=None)
    @given(st.binary(min_size=1, max_size=30), st.integers(8, 100))
    def test_of_a_damaged_file_nothing_else_is_raised(self, junk: bytes, at: int) -> None:
        whole = plain_png()
        for body in (whole[:at] + junk, whole[:at] + junk + whole[at + len(junk) :]):
            with suppress(Malformed):
                assert pngs.cleaned(body) == whole


class TestFiles:
    def test_the_contents_say_what_it_is_and_not_the_name(self, tmp_path: Path) -> None:
        file = tmp_path / "logo.jpg"
        file.write_bytes(plain_png())
        assert read_logo(str(file)).kind == "png"
        file.write_bytes(b"\xef\xbb\xbf\n<!-- -->" + DRAWING.encode())
        assert read_logo(str(file)).kind == "svg"

    @every(
        "body",
        [b"", b"\xff\xd8\xff\xe0 JFIF", b"GIF89a", b"RIFF....WEBPVP8", b"\x1f\x8b\x08", b"logo"],
    )
    def test_any_other_file_is_told_what_to_save_it_as(self, body: bytes, tmp_path: Path) -> None:
        file = tmp_path / "canary"
        file.write_bytes(body)
        with pytest.raises(Malformed, match="neither an SVG nor a PNG") as caught:
            read_logo(str(file))
        assert "canary" not in str(caught.value)

    def test_a_large_file_is_told_its_limit(self, tmp_path: Path) -> None:
        file = tmp_path / "logo"
        file.write_bytes(svg(" " * 64 * 1024))
        with pytest.raises(Malformed, match="too large; SVG may have 64 kB"):
            read_logo(str(file))
        file.write_bytes(plain_png() + b" " * 128 * 1024)
        with pytest.raises(Malformed, match="too large; PNG may have 128 kB"):
            read_logo(str(file))

    def test_what_is_no_file_is_refused_and_never_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path, tmp_path / "pipe", tmp_path / "none", Path("/dev/zero"), "a\0b"):
            with pytest.raises(Malformed, match="names no file"):
                read_logo(str(path))
        with pytest.raises(Malformed, match="names "):
            read_logo("x" * 5000)

    def test_a_logo_does_not_show_its_bytes(self, tmp_path: Path) -> None:
        file = tmp_path / "logo"
        file.write_bytes(DRAWING.encode())
        assert repr(read_logo(str(file))) == "Logo(kind='svg')"

    def test_a_drawing_of_base64_is_no_drawing(self, tmp_path: Path) -> None:
        file = tmp_path / "logo"
        file.write_bytes(base64.b64encode(DRAWING.encode()))
        with pytest.raises(Malformed, match="neither"):
            read_logo(str(file))
