package pack

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fluxcd/pkg/sourceignore"
)

// The files of patterns, in the folder that is packed. They are packed
// themselves unless they say otherwise.
const (
	timoniIgnore = "timoni.ignore"
	sourceIgnore = ".sourceignore"
)

func ignoreVersionControl() []string { return strings.Split(sourceignore.ExcludeVCS, ",") }
func ignoreImages() []string         { return strings.Split(sourceignore.ExcludeExt, ",") }

// readIgnore reads the patterns of a file, which need not be there.
func readIgnore(dir, name string) ([]string, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	defer f.Close()
	var patterns []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if line := lines.Text(); strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return patterns, nil
}

// matcher reports what is left out, by path and whether it is a folder. It is
// the matcher of Timoni and Flux, and so differs from Git where they do: what a
// pattern with "!" names is packed although the folder above it is not.
func matcher(dir string, patterns []string) func(path string, isFolder bool) bool {
	if len(patterns) == 0 {
		return func(string, bool) bool { return false }
	}
	separate := func(path string) []string { return strings.Split(path, string(filepath.Separator)) }
	m := sourceignore.NewMatcher(sourceignore.ReadPatterns(strings.NewReader(strings.Join(patterns, "\n")), separate(dir)))
	return func(path string, isFolder bool) bool { return m.Match(separate(path), isFolder) }
}
