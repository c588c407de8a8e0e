//! Rules about secrets, and about who runs.

use super::{findings, silent, told};

#[test]
fn traps_of_secrets() {
    silent(
        "ML145",
        &[
            "FROM a:1\nENV KEYBOARD=x KEYCLOAK_URL=y PUBLIC_KEY=z GPG_KEY=E3FF2839\n",
            "FROM a:1\nENV SORT_KEY=\n",
            "FROM a:1\nARG SSH_AUTH_SOCK\n",
        ],
    );
    told("ML145", &[("FROM a:1\nARG WANDB_APIKEY\nENV OPENAI_KEY=x\n", &[2, 3])]);
    silent(
        "ML142",
        &[
            "FROM a:1\nCOPY .env.example certs/ca.crt ca.pem tests/id_rsa /x/\n",
            "FROM a:1\nADD https://example.com/.env /x\n",
            "FROM a:1\nCOPY environment.yml .\n",
        ],
    );
    told(
        "ML142",
        &[
            ("FROM a:1\nCOPY .env* ./\nRUN rm .env\n", &[2]),
            ("FROM a:1\nCOPY a \\\n  kaggle.json /root/.kaggle/\n", &[3]),
            ("FROM a:1\nADD [\"id_ed25519\", \"/root/.ssh/\"]\n", &[2]),
        ],
    );
    let token = format!("hf_{}", "aBcDeFgHiJkLmNoPqRsTuVwXyZ012345");
    silent(
        "ML143",
        &[
            "FROM a:1\nENV HF_TOKEN=hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
            "FROM a:1\nRUN git clone https://$USER:$TOKEN@example.com/x\n",
            "FROM a:1\nRUN docker login -u me -p $PASSWORD && hf auth login --token \"$(cat /run/secrets/hf)\"\n",
            "FROM a:1\n# hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ012345\nRUN true\n",
            "FROM a:1\nRUN pip install --hash=sha256:aBcDeFgHiJkLmNoPqRsTuVwXyZ012345 x\n",
        ],
    );
    told(
        "ML143",
        &[
            (&format!("FROM a:1\nENV X={token}\n"), &[2]),
            (&format!("FROM a:1\nRUN <<EOF\ntrue\nhf auth login --token {token}\nEOF\n"), &[4]),
            ("FROM a:1\nRUN docker login -u me -p correct-horse\n", &[2]),
            ("FROM a:1\nRUN pip install --index-url https://me:correct-horse@example.com/simple x\n", &[2]),
        ],
    );
    let shown = findings(&format!("FROM a:1\nENV X={token}\n"), "ML143").remove(0);
    assert_eq!(shown.message, "a token of Hugging Face (hf_…) stands here for everybody to read");
    silent(
        "ML144",
        &[
            "FROM a:1\nRUN --mount=type=secret,id=hf,env=HF_TOKEN python fetch.py\n",
            "FROM a:1\nRUN --mount=type=secret,id=n cp /run/secrets/n /root/.netrc && pip install x && rm /root/.netrc\n",
            "FROM a:1\nRUN --mount=type=secret,id=n --mount=type=tmpfs,target=/scratch cat /run/secrets/n > /scratch/n\n",
            "FROM a:1\nRUN --mount=type=secret,id=n cat /run/secrets/n > /dev/null\n",
            "FROM a:1\nRUN --mount=type=secret,id=n,env=T curl -H \"Authorization: $T\" https://x > /out\n"
                .trim_end_matches(" > /out\n"),
        ],
    );
    told(
        "ML144",
        &[
            (
                "FROM a:1\nRUN --mount=type=secret,id=n echo \"machine x password $(cat /run/secrets/n)\" > ~/.netrc\n",
                &[2],
            ),
            ("FROM a:1\nRUN --mount=type=secret,id=n,env=T echo $T | tee /root/t\n", &[2]),
            (
                "FROM a:1\nRUN --mount=type=secret,id=n,env=T git config --global url.https://x:$T@h.insteadOf https://h\n",
                &[2],
            ),
        ],
    );
}

#[test]
fn traps_of_who_runs() {
    silent(
        "ML151",
        &[
            "FROM gcr.io/distroless/python3-debian12:nonroot\n",
            "FROM quay.io/jupyter/base-notebook:2025-01-01\n",
            "FROM debian:12\nRUN apt-get install -y gosu\nENTRYPOINT [\"/entry.sh\"]\n",
            "ARG X\nFROM debian:12\nUSER $X\n",
            "ARG IMAGE\nFROM $IMAGE\n",
            "FROM debian:12 AS a\nUSER 1000\nFROM a\n",
        ],
    );
    told("ML151", &[("FROM debian:12 AS a\nUSER 1000\nFROM debian:12\nCOPY --from=a /x /x\n", &[3])]);
    silent(
        "ML153",
        &[
            "FROM a:1\nENV HF_HOME=/root/.cache\n",
            "FROM a:1\nRUN useradd -m -u 1000 app && pip install transformers\nUSER 1000\n",
            "FROM a:1\nENV HF_HOME=/models\nRUN pip install transformers\nUSER 1000\n",
        ],
    );
    told(
        "ML153",
        &[
            ("FROM a:1\nRUN pip install transformers\nUSER 10001\n", &[3]),
            ("FROM a:1\nRUN useradd --no-create-home app && pip install vllm\nUSER app\n", &[3]),
        ],
    );
    silent(
        "ML154",
        &[
            "FROM a:1\nCMD [\"python\", \"train.py\"]\n",
            "FROM a:1\nEXPOSE 80\nHEALTHCHECK NONE\n",
            "FROM a:1 AS b\nHEALTHCHECK CMD true\nFROM b\nEXPOSE 80\n",
        ],
    );
    told("ML154", &[("FROM a:1\nCMD exec gunicorn app:app\n", &[2])]);
    silent(
        "ML155",
        &[
            "FROM python:3.12\nHEALTHCHECK CMD curl -f http://localhost\n",
            "FROM python:3.12-alpine\nHEALTHCHECK CMD wget -q http://localhost\n",
            "FROM python:3.12-slim\nRUN apt-get install -y curl=7\nHEALTHCHECK CMD [\"curl\", \"-f\", \"http://localhost\"]\n",
            "FROM debian:12\nHEALTHCHECK CMD python -c 'curl' || exit 1\n",
            "FROM python:3.12\nRUN pip install torch\nHEALTHCHECK --start-period=5m CMD true\n",
        ],
    );
    told("ML155", &[("FROM python:3.12\nRUN pip install torch\nHEALTHCHECK CMD true\n", &[3])]);
    silent(
        "ML157",
        &[
            "FROM a:1\nCMD [\"uvicorn\", \"a:a\", \"--host\", \"127.0.0.1\"]\n",
            "FROM a:1 AS dev\nCMD [\"flask\", \"run\"]\n",
            "FROM a:1\nEXPOSE 80\nCMD [\"gunicorn\", \"-b\", \"0.0.0.0:80\", \"a:a\"]\n",
        ],
    );
    told(
        "ML157",
        &[
            ("FROM a:1\nCMD flask run --host 0.0.0.0\n", &[2]),
            ("FROM a:1\nENV FLASK_DEBUG=1\nCMD [\"gunicorn\"]\n", &[2]),
            ("FROM a:1\nEXPOSE 8000\nCMD [\"gunicorn\", \"-b\", \"127.0.0.1:8000\"]\n", &[3]),
            ("FROM a:1\nCMD [\"jupyter\", \"lab\", \"--ServerApp.token=''\"]\n", &[2]),
        ],
    );
    silent(
        "ML198",
        &[
            "FROM a:1\nEXPOSE 8000-8010\nCMD [\"uvicorn\", \"a:a\", \"--port\", \"8005\"]\n",
            "FROM a:1\nEXPOSE $PORT\nCMD [\"uvicorn\", \"a:a\", \"--port\", \"8005\"]\n",
            "FROM a:1\nEXPOSE 80\nCMD uvicorn a:a --port $PORT\n",
            "FROM a:1\nEXPOSE 80\nCMD [\"train\", \"--port\", \"1\"]\n",
        ],
    );
    told("ML198", &[("FROM a:1\nEXPOSE 80/tcp\nCMD gunicorn --bind=0.0.0.0:8000 a:a\n", &[2])]);
}
