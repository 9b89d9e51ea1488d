package main

import (
	"fmt"
	"strings"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/cmd/assay/manifests"
)

// printReport writes a report in the format that is asked for.
func (t *terminal) printReport(o *outputFlag, r manifests.Report) error {
	switch o.format {
	case "junit":
		return writeJUnit(t.out, r)
	case "github":
		return writeGitHub(t.out, newWorkspace(t.getenv), r)
	default:
		if r.Results == nil {
			r.Results = []manifests.Result{}
		}
		return t.print(o, r, func() error { t.printTable(r); return nil })
	}
}

// shortDigest is how much of a digest a table shows.
const shortDigest = len("sha256:") + 12

// printTable writes a report for people: a line for each ModuleSource, and below
// what is wrong, in the form in which compilers say it.
func (t *terminal) printTable(r manifests.Report) {
	if len(r.Results) > 0 {
		table := newTable("FILE", "NAME", "REVISION", "VERDICT", "REASON", "SIGNER")
		for _, result := range r.Results {
			table.add(row(result)...)
		}
		table.print(t)
	}
	gap := len(r.Results) > 0
	say := func(s style, level, text string, p manifests.Position) {
		if gap {
			fmt.Fprintln(t.out)
			gap = false
		}
		fmt.Fprintf(t.out, "%s: %s: %s\n", clean(p.String()), t.paint(s, level), clean(text))
	}
	for _, p := range r.Problems {
		say(bad, "error", p.Message, p.Position)
	}
	for _, result := range r.Results {
		for _, p := range result.Problems {
			say(styleOf(result.Verdict), strings.ToLower(string(result.Verdict)), about(result, p.Field, p.Message)+" ("+result.Reason+")", p.Position)
		}
	}
	for _, result := range r.Results {
		for _, n := range result.Notes {
			s, level := unsure, "warning"
			if n.Level == manifests.Info {
				s, level = faint, "note"
			}
			say(s, level, about(result, n.Field, n.Message), n.Position)
		}
	}
}

// about says of which ModuleSource, and of which field, something is said.
func about(r manifests.Result, field, message string) string {
	text := fullName(r) + ": "
	if field != "" {
		text += field + ": "
	}
	return text + message
}

func fullName(r manifests.Result) string {
	name := r.Name
	if name == "" {
		name = "(no name)"
	}
	return r.Namespace + "/" + name
}

func row(r manifests.Result) []cell {
	at := r.Position
	at.Column = 0
	signers := make([]string, 0, len(r.Signatures))
	for _, s := range r.Signatures {
		signers = append(signers, signer(s))
	}
	revision := r.Digest
	if len(revision) > shortDigest {
		revision = revision[:shortDigest]
	}
	if r.Version != "" {
		revision = r.Version + "@" + revision
	}
	return []cell{
		{text: at.String()}, {text: fullName(r)}, {text: revision},
		{text: string(r.Verdict), style: styleOf(r.Verdict)}, {text: r.Reason}, {text: strings.Join(signers, ", ")},
	}
}

// signer names a signer in short.
func signer(s v1alpha1.AcceptedSignature) string {
	who := s.Subject
	if s.KeyFingerprint != "" {
		who = "key " + s.KeyFingerprint[:min(shortDigest, len(s.KeyFingerprint))]
	}
	return fmt.Sprintf("%s (%s)", s.Authority, who)
}

func styleOf(v manifests.Verdict) style {
	switch v {
	case manifests.Verified:
		return good
	case manifests.Unknown:
		return unsure
	default:
		return bad
	}
}

// summary is a report in a line.
func summary(r manifests.Report) string {
	s, n := r.Summary, len(r.Results)
	text := fmt.Sprintf("%s in %s", count(n, "ModuleSource"), count(s.Files, "file"))
	if n == 0 {
		text = fmt.Sprintf("no ModuleSource in %s: nothing to verify", count(s.Files, "file"))
	}
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{
		{s.Verified, "verified"}, {s.Refused, "refused"}, {s.Unpublishable, "not publishable"}, {s.Invalid, "invalid"}, {s.Unknown, "not judged"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	if s.Unreadable > 0 {
		text += fmt.Sprintf("; %s cannot be read", count(s.Unreadable, "document"))
	}
	return text
}

// shellWord is a word as it can be typed.
func shellWord(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-:@", r)
	}) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
