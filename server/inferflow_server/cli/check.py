"""`inferflow check MODEL`."""

from math import prod
from typing import Any

import click

from inferflow_core.spec import check
from inferflow_server.cli.fetch import spec_without_files
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import ModelOptions, json_option, model_argument, model_options
from inferflow_server.cli.output import note, print_json, print_pairs


@click.command("check")
@model_argument
@model_options
@json_option
def command(options: ModelOptions, as_json: bool) -> None:
    """Check a spec and its model without reading weights.

    The spec is resolved, every tensor is bound, the network is traced. Of a family, or a model that
    is not fetched yet, names and keys are checked in all branches. Nothing is fetched.

    \b
    Example:
        inferflow check checkpoint

    --json prints {"model", "complete", "spec", "source", "names", "params", "parameters",
    "ignored_tensors", "context"}, the last six where "complete" is true; "params" counts tensors,
    "parameters" numbers.
    """
    catalog, _ = registered()
    spec = spec_without_files(options, catalog)
    report: dict[str, Any]
    if spec is not None:
        check(spec, catalog)
        note("Names and keys are right. Shapes are checked when there is a checkpoint.")
        report = {"complete": False, "spec": spec.name}
    else:
        report = _report(
            catalog.get("engine", "continuous").inspect(
                options.reference, catalog=catalog, backend=options.backend, set=options.set
            )
        )
    report = {"model": options.reference} | report
    if as_json:
        print_json(report)
    else:
        print_pairs(report)


def _report(network: Any) -> dict[str, Any]:
    bindings = network.bindings
    return {
        "complete": True,
        "spec": network.plan.name,
        "source": network.plan.source,
        "names": network.plan.names,
        "params": len(bindings.params),
        "parameters": sum(prod(each.shape) for each in bindings.params.values()),
        "ignored_tensors": len(bindings.ignored),
        "context": network.context,
    }
