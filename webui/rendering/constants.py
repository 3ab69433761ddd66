"""Templates that hold what never changes: addresses of our files, sentences without a name in them.

Looked up at each page they would be a tenth of its cost.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, nodes
from jinja2.visitor import NodeTransformer

from webui.rendering import assets
from webui.text import words


class Templates(Environment):
    """Environment whose templates have their constants written in when they compile."""

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Constants().visit(super()._parse(source, name, filename))
        return tree


class _Constants(NodeTransformer):
    def visit_Call(self, node: nodes.Call, *args: Any, **kwargs: Any) -> nodes.Node:  # noqa: N802
        match node:
            case nodes.Call(node=nodes.Name(name="static"), args=[nodes.Const(value=str(name))]):
                return nodes.Const(assets.static_url(name), lineno=node.lineno)
            case nodes.Call(
                node=nodes.Name(name="t"), args=[nodes.Const(value=str(key))], kwargs=[]
            ) if "{" not in words.CATALOGUE[key]:
                return nodes.TemplateData(words.markup(key), lineno=node.lineno)
        return self.generic_visit(node, *args, **kwargs)
