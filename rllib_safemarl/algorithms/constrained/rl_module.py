"""The default policy network: RLlib's own actor, without the critic we would not train."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule


class ActorRLModule(DefaultPPOTorchRLModule):
    """Encoder and policy head of PPO's default RLModule, built by its catalog and model config."""

    def setup(self) -> None:
        """Build the acting half only, on env runners and learners alike."""
        if self.catalog is None:
            raise self._catalog_ctor_error
        self.catalog.actor_critic_encoder_config.inference_only = True
        self.encoder = self.catalog.build_actor_critic_encoder(framework=self.framework)
        self.pi = self.catalog.build_pi_head(framework=self.framework)

    def get_non_inference_attributes(self) -> list[str]:
        """None: everything here acts."""
        return []

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """As when acting."""
        return self._forward(batch, **kwargs)
