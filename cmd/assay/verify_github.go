package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/assay-dev/assay/cmd/assay/manifests"
)

// workspace is the folder that GitHub shows files of; "" where it is unknown.
type workspace string

func newWorkspace(getenv func(string) string) workspace { return workspace(getenv("GITHUB_WORKSPACE")) }

// path is a file as GitHub knows it, from the root of the repository.
func (w workspace) path(file string) string {
	if file == manifests.Stdin || w == "" {
		return file
	}
	whole, err := filepath.Abs(file)
	if err != nil {
		return file
	}
	relative, err := filepath.Rel(string(w), whole)
	if err != nil || !filepath.IsLocal(relative) {
		return file
	}
	return filepath.ToSlash(relative)
}

// writeGitHub writes a report as workflow commands, which GitHub shows at the
// lines of the files.
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
func writeGitHub(out io.Writer, w workspace, r manifests.Report) error {
	var b strings.Builder
	for _, p := range r.Problems {
		b.WriteString(annotation("error", w, p.Position, "Not a manifest", p.Message))
	}
	for _, result := range r.Results {
		for _, p := range result.Problems {
			b.WriteString(annotation("error", w, p.Position, fullName(result)+": "+string(result.Verdict)+", "+result.Reason, fieldAndMessage(p)))
		}
		for _, n := range result.Notes {
			command := "warning"
			if n.Level == manifests.Info {
				command = "notice"
			}
			b.WriteString(annotation(command, w, n.Position, fullName(result), fieldAndMessage(manifests.Problem{Field: n.Field, Message: n.Message})))
		}
		if result.Verdict == manifests.Verified {
			fmt.Fprintf(&b, "%s: %s is verified: %s\n", harmless(result.String()), harmless(fullName(result)), harmless(result.Revision))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// annotation is one workflow command.
func annotation(command string, w workspace, p manifests.Position, title, message string) string {
	var properties []string
	add := func(name, value string) { properties = append(properties, name+"="+escapeProperty(value)) }
	if p.File != manifests.Stdin {
		add("file", w.path(p.File))
		if p.Line > 0 {
			add("line", strconv.Itoa(p.Line))
		}
		if p.Column > 0 {
			add("col", strconv.Itoa(p.Column))
		}
	} else {
		message = p.String() + ": " + message
	}
	add("title", title)
	return fmt.Sprintf("::%s %s::%s\n", command, strings.Join(properties, ","), escapeData(clean(message)))
}

// What GitHub's own toolkit escapes.
// https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
var (
	dataEscapes     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func escapeData(text string) string     { return dataEscapes.Replace(text) }
func escapeProperty(text string) string { return propertyEscapes.Replace(clean(text)) }

// harmless is text that must not be a command: one begins a line, and one of the old
// form stands anywhere.
func harmless(text string) string {
	return strings.NewReplacer("::", ": :", "##[", "## [").Replace(clean(text))
}
