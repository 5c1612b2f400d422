#include "cli.h"

const cli_command_row cli_commands[] = {
    {"train", "learn what is normal from pictures of normal things"},
    {"score", "tell of each picture how normal it is, and where it is not"},
    {"watch", "score pictures as they come into folders"},
    {"eval", "measure a model on labelled pictures"},
    {"drift", "tell whether the pictures are still those the model knows"},
    {"tune", "find the backbone, layer and settings that do best"},
    {"info", "show what a model holds"},
    {"threshold", "show what a threshold promises, and set another"},
    {"backbone", "list, inspect, check, run and cut backbones"},
    {"completion", "print what a shell needs to complete adtool's words"},
    {"features", "write the features of pictures as .npy"},
    {NULL, NULL},
};
