"""Handwritten digits: a small convolutional network, its calibration images and its held-back test images.

digits.onnx was trained by train.py on scikit-learn's digits (8x8 pixels of 0..16, from the UCI "Optical Recognition of
Handwritten Digits" data set, CC BY 4.0). calibration.npz holds images that it was trained on, test.npz (x, labels)
those that it never saw.
"""
