"""Which component makes which kind of host.  The one place that knows all of them: a host more in a stack is none here.

Any other kind is a hosted API, and so is an Azure account or a vLLM that is at a URL already.  The SDKs of a cloud are
loaded for its hosts only.
"""

from __future__ import annotations

from collections.abc import Mapping

from corral.hosts.base import HostComponent, Site, require
from corral.hosts.openai.component import OpenAIHost, OpenAIHostArgs
from corral.hosts.vllm.component import Vllm, VllmArgs


def make_hosts(site: Site) -> Mapping[str, HostComponent]:
    """Every host that a model names, by name.

    Raises `pulumi.RunError` where the stack says too little of one, or the extra that it needs is not installed.
    """
    return {name: _make(name, site) for name in site.plan.hosts}


def _make(name: str, site: Site) -> HostComponent:
    kind = site.stack.hosts[name].kind
    if kind == "bedrock":
        require("aws", f"the host {name}")
        from corral.hosts.bedrock.component import Bedrock, BedrockArgs

        return Bedrock(name, BedrockArgs.of(name, site))
    if not all(target.provisioned for target in site.plan.at(name).values()):
        return OpenAIHost(name, OpenAIHostArgs.of(name, site))
    if kind == "azure":
        require("azure", f"the host {name}")
        from corral.hosts.azure.component import Azure, AzureArgs

        return Azure(name, AzureArgs.of(name, site))
    return Vllm(name, VllmArgs.of(name, site))
