//! Rules about what is installed and fetched, and the layers that it leaves.

use super::{silent, told};

#[test]
fn traps_of_installing() {
    silent(
        "ML121",
        &[
            "FROM python:3.12\nCOPY . /app\nRUN pip install /app\n",
            "FROM python:3.12\nCOPY . .\nRUN pip install -e .\n",
            "FROM python:3.12\nCOPY . .\nRUN pip install -r requirements.txt -e .\n",
            "FROM python:3.12 AS a\nCOPY . .\nFROM python:3.12\nRUN pip install -r requirements.txt\n",
            "FROM python:3.12\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\nCOPY . .\n",
            "FROM python:3.12\nCOPY --from=x . .\nRUN pip install flask\n",
        ],
    );
    told("ML121", &[("FROM python:3.12\nCOPY . .\nRUN uv sync --no-install-project\n", &[2])]);
    silent(
        "ML122",
        &[
            "FROM python:3.12\nRUN pip install torch torchvision numpy\n",
            "FROM python:3.12 AS x\nRUN pip install torch flask\nFROM debian:12\n",
            "FROM python:3.12\nRUN pip install -r requirements.txt\n",
        ],
    );
    silent(
        "ML125",
        &[
            "FROM python:3.12\nENV UV_LOCKED=1\nRUN uv sync\n",
            "FROM python:3.12\nRUN UV_FROZEN=1 uv sync\n",
            "FROM python:3.12\nRUN pipenv install --deploy\n",
            "FROM python:3.12\nCOPY pyproject.toml poetry.lock ./\nRUN poetry install\n",
        ],
    );
    silent(
        "ML126",
        &[
            "FROM python:3.12\nRUN pip install --index-url https://download.pytorch.org/whl/cpu torch\n",
            "FROM python:3.12\nRUN uv pip install --extra-index-url https://x/simple ours\n",
        ],
    );
    told(
        "ML126",
        &[
            ("FROM python:3.12\nENV PIP_EXTRA_INDEX_URL=https://x/simple\n", &[2]),
            (
                "FROM python:3.12\nRUN uv pip install --index-strategy unsafe-best-match --extra-index-url https://x/simple ours\n",
                &[2],
            ),
        ],
    );
    silent(
        "ML199",
        &[
            "FROM python:3.12\nRUN pip install --no-cache-dir a==1\n",
            "FROM python:3.12\nENV PIP_NO_CACHE_DIR=0\nRUN --mount=type=cache,target=/root/.cache pip install a\n",
        ],
    );
    silent(
        "ML132",
        &[
            "FROM debian:12\nRUN apt-get update && ./install.sh\n",
            "FROM debian:12\nRUN apt-get update\n",
            "FROM debian:12\nRUN --mount=type=cache,target=/var/lib/apt apt-get update\nRUN apt-get install -y a\n",
        ],
    );
}

#[test]
fn traps_of_layers() {
    silent(
        "ML129",
        &[
            "FROM python:3.12\nRUN mkdir /data && chown -R 1000 /data\n",
            "FROM python:3.12\nCOPY a /data\nRUN chown 1000 /data\n",
            "FROM python:3.12 AS x\nCOPY a /data\nRUN rm -rf /data\nFROM debian:12\n",
            "FROM python:3.12\nRUN apt-get update && apt-get install -y a && rm -rf /var/lib/apt/lists/*\n",
            "FROM python:3.12\nRUN rm -rf /var/lib/apt/lists/*\n",
        ],
    );
    told(
        "ML129",
        &[
            ("FROM debian:12\nRUN apt-get update && apt-get install -y a\nRUN rm -rf /var/lib/apt/lists/*\n", &[3]),
            ("FROM debian:12\nCOPY src /app/src\nRUN chmod -R a+rX /app\n", &[3]),
            ("FROM debian:12\nCOPY big /tmp/big/\nRUN ./x && rm -rf /tmp/big\n", &[3]),
        ],
    );
    silent(
        "ML130",
        &[
            "FROM python:3.12\nCOPY wheels /wheels\nRUN pip install /wheels/*\n",
            "FROM python:3.12 AS b\nCOPY wheels /wheels\nRUN pip install /wheels/* && rm -rf /wheels\nFROM debian:12\n",
        ],
    );
    told(
        "ML130",
        &[
            (
                "FROM python:3.12\nCOPY wheels /wheels\nRUN pip install --no-index --find-links=/wheels -r r.txt\nRUN rm -r /wheels\n",
                &[2],
            ),
            ("FROM a:1 AS b\nFROM python:3.12\nCOPY --from=b /w /w\nRUN pip install /w/*.whl && rm -rf /w/\n", &[3]),
        ],
    );
    silent(
        "ML131",
        &[
            "FROM debian:12\nRUN apt-get update && apt-get install -y gcc && make && apt-get purge -y gcc\n",
            "FROM debian:12 AS b\nRUN apt-get install -y gcc\nFROM debian:12\nCOPY --from=b /x /x\n",
            "FROM debian:12\nRUN apt-get install -y gcc\nRUN pip install vllm\n",
            "FROM alpine:3.22\nRUN apk add --no-cache --virtual .build gcc && make && apk del .build\n",
        ],
    );
    silent(
        "ML161",
        &[
            "FROM python:3.12\nCOPY model.safetensors /m/\nCOPY . /app\n",
            "FROM python:3.12\nCOPY . /app\nCOPY --from=x /models /models\n",
            "FROM python:3.12\nCOPY . /app\nCOPY a.bin /x\n",
        ],
    );
    told("ML161", &[("FROM python:3.12\nCOPY . /app\nCOPY weights/ /w/\n", &[3])]);
}

#[test]
fn traps_of_what_is_fetched() {
    silent(
        "ML163",
        &[
            "FROM a:1\nRUN hf download x/y --revision $REV\n",
            "FROM a:1\nRUN curl -L https://huggingface.co/x/y/resolve/0123abcd/model.safetensors -o m\n",
            "FROM a:1\nRUN wget https://example.com/a.pt && echo 'x a.pt' | sha256sum -c\n",
            "FROM a:1\nRUN python -c \"AutoModel.from_pretrained('x', revision='1f')\"\n",
            "FROM a:1\nRUN curl https://example.com/a.tar.gz -o a\n",
        ],
    );
    told(
        "ML163",
        &[
            ("FROM a:1\nRUN python3 -c \"from x import *; snapshot_download('a/b')\"\n", &[2]),
            ("FROM a:1\nRUN wget https://example.com/m.gguf?download=true\n", &[2]),
            ("FROM a:1\nRUN git clone https://huggingface.co/x/y\n", &[2]),
        ],
    );
    silent(
        "ML165",
        &["FROM a:1\nADD https://example.com/x.git#v1 /x\n", "FROM a:1\nADD a.tar.gz /x\n", "FROM a:1\nCOPY a /a\n"],
    );
    silent(
        "ML166",
        &[
            "FROM a:1\nRUN curl https://x/a.sh -o a && echo 'y a' | sha256sum -c && sh a\n",
            "FROM a:1\nRUN curl https://x/a.json | python3 -c 'import json'\n",
            "FROM a:1\nRUN curl https://x/a.json | python3 -m json.tool\n",
            "FROM a:1\nRUN curl https://x/a.tar.gz | tar xz\n",
            "FROM a:1\nRUN echo hi | sh\n",
            "FROM a:1\nRUN VERSION=$(curl https://x/version) && bash install.sh\n",
        ],
    );
    told(
        "ML166",
        &[
            ("FROM a:1\nRUN curl -LsSf https://astral.sh/uv/install.sh | sudo -E bash -s -- -y\n", &[2]),
            ("FROM a:1\nRUN bash -c \"$(curl -fsSL https://x)\"\n", &[2]),
            ("FROM a:1\nRUN wget -qO- https://x | python3 -\n", &[2]),
            ("FROM a:1\nSHELL [\"/bin/bash\", \"-c\"]\nRUN bash <(curl -s https://x)\n", &[3]),
        ],
    );
    silent(
        "ML167",
        &[
            "FROM a:1\nCOPY ca.crt /usr/local/share/ca-certificates/\nRUN update-ca-certificates && curl -f https://x\n",
            "FROM a:1\nRUN tar -k -xf a && wget -q https://x\n",
            "FROM a:1\nENV NODE_TLS_REJECT_UNAUTHORIZED=1\n",
        ],
    );
    told(
        "ML167",
        &[
            ("FROM a:1\nRUN curl -fsSLk https://x\n", &[2]),
            ("FROM a:1\nRUN pip install --trusted-host x a\nENV PYTHONHTTPSVERIFY=0\n", &[2, 3]),
            ("FROM a:1\nRUN git config --global http.sslVerify false && npm config set strict-ssl false\n", &[2, 2]),
            ("FROM a:1\nRUN apt-get install -y --allow-unauthenticated x && apk add --allow-untrusted y\n", &[2, 2]),
        ],
    );
    silent(
        "ML183",
        &[
            "FROM a:1\nRUN git clone --branch v1.2 https://x/y\n",
            "FROM a:1\nRUN git clone -b $TAG https://x/y\n",
            "FROM a:1\nRUN git clone https://x/y && cd y && git checkout 1f2e\n",
            "FROM a:1\nRUN apt-get update\n",
        ],
    );
    told("ML183", &[("FROM a:1\nRUN apt-get update && apt-get -y dist-upgrade\nRUN date > /built\n", &[2, 3])]);
}
