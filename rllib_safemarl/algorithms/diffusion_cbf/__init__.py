"""Planning with diffusion models and control barrier functions, learnt from data alone."""
