"""Answers /embed with the length of a sentence's vector, by a real model's weights; one thread, one request at a time."""
import http.server
import os
import pathlib
import resource
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy
from safetensors.numpy import load_file
from tokenizers import Tokenizer


def find(name):
    for folder in sys.path:
        for path in pathlib.Path(folder).glob("**/" + name):
            if "minilm" in str(path).lower():
                return path
    sys.exit(f"{name} of the model is not installed")


WEIGHTS = load_file(find("model.safetensors"))
WORDS = Tokenizer.from_file(str(find("tokenizer.json")))
WORDS.no_padding()


def norm(x, name):
    x = (x - x.mean(-1, keepdims=True)) / numpy.sqrt(x.var(-1, keepdims=True) + 1e-12)
    return x * WEIGHTS[name + ".weight"] + WEIGHTS[name + ".bias"]


def dense(x, name):
    return x @ WEIGHTS[name + ".weight"].T + WEIGHTS[name + ".bias"]


def embed(text):
    ids = WORDS.encode(text).ids
    x = WEIGHTS["embeddings.word_embeddings.weight"][ids]
    x = x + WEIGHTS["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + WEIGHTS["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(6):
        at = f"encoder.layer.{layer}."
        q, k, v = (dense(x, at + "attention.self." + part).reshape(len(ids), 12, -1).swapaxes(0, 1)
                   for part in ("query", "key", "value"))
        scores = q @ k.swapaxes(1, 2) / numpy.sqrt(q.shape[-1])
        scores = numpy.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        mixed = mixed.swapaxes(0, 1).reshape(len(ids), -1)
        x = norm(x + dense(mixed, at + "attention.output.dense"), at + "attention.output.LayerNorm")
        inner = dense(x, at + "intermediate.dense")
        inner = 0.5 * inner * (1 + numpy.tanh(numpy.sqrt(2 / numpy.pi) * (inner + 0.044715 * inner ** 3)))
        x = norm(x + dense(inner, at + "output.dense"), at + "output.LayerNorm")
    return x.mean(0)


SENTENCE = "A flight recorder for agents says what they really did, and what it cost to know."


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/usage":
            used = resource.getrusage(resource.RUSAGE_SELF)
            body = f"{used.ru_utime + used.ru_stime} {used.ru_maxrss / 1024}"
        else:
            body = str(numpy.linalg.norm(embed(SENTENCE)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
