package artifact

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxNameBytes bounds the path of an entry, and maxElementBytes each
	// element of it: NAME_MAX of the usual file systems.
	maxNameBytes    = 1024
	maxElementBytes = 255
)

// cleanName returns the path of an entry below the artifact's root, without
// "./", "//" and a folder's "/" at the end; "." is the root itself. It refuses
// every name that could mean another place, or another name, to whoever
// extracts the archive.
func cleanName(name string, isFolder bool) (string, error) {
	switch {
	case name == "":
		return "", fmt.Errorf("expected a name, found none")
	case !utf8.ValidString(name):
		return "", fmt.Errorf("expected a name in UTF-8, found other bytes")
	case strings.ContainsFunc(name, unicode.IsControl):
		return "", fmt.Errorf("expected a name without control characters, found one")
	case strings.Contains(name, `\`):
		// Windows takes it for a separator.
		return "", fmt.Errorf("expected a name without backslash, found one")
	case strings.HasPrefix(name, "/"):
		return "", fmt.Errorf("expected a relative path, found an absolute one")
	}
	elements := strings.Split(name, "/")
	for _, element := range elements {
		if element == ".." {
			return "", fmt.Errorf(`expected a path without "..", found one`)
		}
		if len(element) > maxElementBytes {
			return "", fmt.Errorf("expected at most %d bytes in each element of the path, found %d", maxElementBytes, len(element))
		}
	}
	if last := elements[len(elements)-1]; !isFolder && (last == "" || last == ".") {
		return "", fmt.Errorf("expected the name of a file, found that of a folder")
	}
	cleaned := path.Clean(name)
	if len(cleaned) > maxNameBytes {
		return "", fmt.Errorf("expected a path of at most %d bytes, found %d", maxNameBytes, len(cleaned))
	}
	return cleaned, nil
}
