//! What a machine-learning project holds that no image wants: groups with names, so that the plan can say how many files
//! and bytes each has kept out.
//!
//! Names that only a tool gives (`__pycache__`, `.venv`) are looked for everywhere; names that may be a package of the
//! project (`runs`, `checkpoints`, `build`) only at the root, and `env`, `build` and `dist` only where they hold what a tool makes.

/// Patterns with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DefaultGroup {
    pub name: &'static str,
    /// Wins over `weights`: whoever writes `**/*.onnx` does not mean the test files of a virtual environment.
    pub before_weights: bool,
    pub patterns: &'static [&'static str],
}

/// In this order; the last pattern that matches decides.
pub(super) const DEFAULT_GROUPS: [DefaultGroup; 12] = [
    DefaultGroup {
        name: "secrets",
        before_weights: true,
        patterns: &["**/.env", "**/.envrc", "**/.env.*", "!**/.env.example", "!**/.env.sample", "!**/.env.template"],
    },
    DefaultGroup {
        name: "version control",
        before_weights: true,
        patterns: &["**/.git", "**/.hg", "**/.svn", "**/.gitignore", "**/.gitattributes", ".gitmodules", ".github"],
    },
    DefaultGroup {
        name: "virtual environments",
        before_weights: true,
        patterns: &[
            "**/.venv",
            "**/venv",
            "**/env/pyvenv.cfg",
            "**/env/bin",
            "**/env/lib/python*",
            "**/env/lib64",
            "**/.conda",
            "**/.pixi",
        ],
    },
    DefaultGroup { name: "bytecode", before_weights: true, patterns: &["**/__pycache__", "**/*.pyc", "**/*.pyo"] },
    DefaultGroup {
        name: "tool caches",
        before_weights: true,
        patterns: &[
            "**/.pytest_cache",
            "**/.mypy_cache",
            "**/.ruff_cache",
            "**/.tox",
            "**/.nox",
            "**/.hypothesis",
            "**/.coverage",
            "**/.coverage.*",
            "htmlcov",
            "**/.cache",
        ],
    },
    DefaultGroup {
        name: "package builds",
        before_weights: true,
        patterns: &[
            "**/*.egg-info",
            "**/.eggs",
            "dist/*.whl",
            "dist/*.tar.gz",
            "build/lib",
            "build/lib.*",
            "build/bdist.*",
            "build/temp.*",
        ],
    },
    DefaultGroup { name: "node packages", before_weights: true, patterns: &["**/node_modules"] },
    DefaultGroup { name: "notebook checkpoints", before_weights: true, patterns: &["**/.ipynb_checkpoints"] },
    DefaultGroup {
        name: "experiments",
        before_weights: false,
        patterns: &[
            "wandb",
            "**/wandb/run-*",
            "**/wandb/offline-run-*",
            "**/mlruns",
            "mlartifacts",
            "**/lightning_logs",
            "tb_logs",
            "runs",
            "outputs",
            "multirun",
            ".neptune",
            ".aim",
            ".dvc/cache",
            ".dvc/tmp",
        ],
    },
    DefaultGroup { name: "checkpoints", before_weights: false, patterns: &["checkpoints"] },
    DefaultGroup { name: "artifacts", before_weights: false, patterns: &["artifacts"] },
    DefaultGroup {
        name: "editors and build files",
        before_weights: true,
        patterns: &[
            "**/.DS_Store",
            "**/Thumbs.db",
            "**/*.swp",
            ".idea",
            ".vscode",
            "corten.toml",
            "**/.dockerignore",
            "**/Dockerfile",
            "**/Dockerfile.*",
            "**/*.dockerignore",
            "compose.yaml",
            "compose.yml",
            "docker-compose*.yml",
            "docker-compose*.yaml",
        ],
    },
];
