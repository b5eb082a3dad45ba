"""The MobileNets as Keras models, fed by the checkpoints of the slim networks.

They are built on tf_keras: Keras 3 refuses the layer names, which contain '/'. docs/keras.md
"""
