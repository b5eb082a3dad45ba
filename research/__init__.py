"""Where the Keras MobileNets used to live: `python -m research.mobilenet.mobilenet_trainer`."""
