// Reads an eStargz layer as a snapshotter would: table of contents against its digest, every chunk against its own.
// Prints one line per entry: type, name, mode, size, target, SHA-256 of the content.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"sort"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/opencontainers/go-digest"
)

func main() {
	if err := check(os.Args[1], digest.Digest(os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(blob string, table digest.Digest) error {
	file, err := os.Open(blob)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	reader, err := estargz.Open(io.NewSectionReader(file, 0, info.Size()))
	if err != nil {
		return err
	}
	verifiers, err := reader.VerifyTOC(table)
	if err != nil {
		return err
	}
	root, _ := reader.Lookup("")
	return walk(reader, verifiers, "", root)
}

func walk(reader *estargz.Reader, verifiers estargz.TOCEntryVerifier, name string, entry *estargz.TOCEntry) error {
	content := ""
	if entry.Type == "reg" {
		digest, err := read(reader, verifiers, name, entry)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		content = digest
	}
	fmt.Printf("%s %s %o %d %s %s\n", entry.Type, name, entry.Mode, entry.Size, entry.LinkName, content)
	children := map[string]*estargz.TOCEntry{}
	names := []string{}
	entry.ForeachChild(func(base string, child *estargz.TOCEntry) bool {
		children[base] = child
		names = append(names, base)
		return true
	})
	sort.Strings(names)
	for _, base := range names {
		if err := walk(reader, verifiers, path.Join(name, base), children[base]); err != nil {
			return err
		}
	}
	return nil
}

func read(reader *estargz.Reader, verifiers estargz.TOCEntryVerifier, name string, entry *estargz.TOCEntry) (string, error) {
	whole := sha256.New()
	content, err := reader.OpenFile(name)
	if err != nil {
		return "", err
	}
	for at := int64(0); at < entry.Size; {
		chunk, ok := reader.ChunkEntryForOffset(name, at)
		if !ok || chunk.ChunkOffset != at {
			return "", fmt.Errorf("no chunk begins at byte %d", at)
		}
		bytes := make([]byte, chunk.ChunkSize)
		if _, err := content.ReadAt(bytes, at); err != nil && err != io.EOF {
			return "", err
		}
		verifier, err := verifiers.Verifier(chunk)
		if err != nil {
			return "", err
		}
		verifier.Write(bytes)
		if !verifier.Verified() {
			return "", fmt.Errorf("the chunk at byte %d has another digest", at)
		}
		whole.Write(bytes)
		at += chunk.ChunkSize
	}
	digest := fmt.Sprintf("sha256:%x", whole.Sum(nil))
	if entry.Size > 0 && digest != entry.Digest {
		return "", fmt.Errorf("the file has the digest %s, not %s", digest, entry.Digest)
	}
	return digest, nil
}
