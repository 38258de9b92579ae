"""Train several recipes by the command line: `python train_models.py RECIPE.json …`.

Each is `hubkit train RECIPE.json` in a process of its own, which begins as a copy of this one, where all that is slow
to import is there already.
"""

import os
import sys


def main() -> int:
    from hubkit.train import calm_threads

    calm_threads()
    import datasets  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    from transformers import GPTNeoXForCausalLM, RobertaForMaskedLM, TextGenerationPipeline  # noqa: F401

    import hubkit.models.minigpt.modeling_minigpt
    import hubkit.models.numeric_roberta.modeling_numeric_roberta
    import hubkit.models.recurrent.modeling_recurrent
    import hubkit.publishing
    import hubkit.training.launching
    import hubkit.training.run  # noqa: F401
    from hubkit import cli

    for recipe in sys.argv[1:]:
        child = os.fork()
        if child == 0:
            sys.argv = ["hubkit", "train", recipe]
            cli.main()
            os._exit(70)  # the command line ends by itself
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
