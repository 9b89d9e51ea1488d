package dockerfile

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// copyContext copies into a folder what the first stage copies, but for what
// .dockerignore leaves out.
func (r *Recipe) copyContext(to string) error {
	from := os.DirFS(r.root)
	for _, source := range r.Sources() {
		names, err := fs.Glob(from, strings.TrimSuffix(source, "/"))
		if err != nil || len(names) == 0 {
			return fmt.Errorf("COPY %s: expected files, found none (%w)", source, err)
		}
		for _, name := range names {
			if err := r.copyTree(from, name, to); err != nil {
				return fmt.Errorf("COPY %s: %w", source, err)
			}
		}
	}
	return nil
}

func (r *Recipe) copyTree(from fs.FS, name, to string) error {
	return fs.WalkDir(from, name, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || r.ignore(name) {
			return err
		}
		content, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o600)
	})
}

// ignore reads .dockerignore, as far as it goes here: "*" is everything,
// "!pattern" takes files or a folder back, "**/pattern" is any file or folder of
// that name. The last line that matches a file decides.
// https://docs.docker.com/build/concepts/context/#dockerignore-files
func ignore(text string) func(name string) bool {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return func(name string) bool {
		ignored := false
		for _, line := range lines {
			if back, ok := strings.CutPrefix(line, "!"); ok {
				if matches(back, name) || strings.HasPrefix(name, back+"/") {
					ignored = false
				}
				continue
			}
			if anywhere, ok := strings.CutPrefix(line, "**/"); line == "*" || ok && slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool {
				return matches(anywhere, part)
			}) {
				ignored = true
			}
		}
		return ignored
	}
}

func matches(pattern, name string) bool {
	matched, err := path.Match(pattern, name)
	return err == nil && matched
}
