package manifests

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// Level is how much a note matters.
type Level string

// The levels of a note.
const (
	// Warning is something that a reviewer should look at.
	Warning Level = "warning"
	// Info is how something was judged.
	Info Level = "info"
)

// Note is something worth a reviewer's eye that changes no verdict.
type Note struct {
	Position
	// Field is the path of the field, such as spec.tag.
	Field string `json:"field,omitempty"`
	Level Level  `json:"level"`
	// Message says what it means, and what to write instead.
	Message string `json:"message"`
}

func (m moduleSource) note(level Level, field, format string, args ...any) Note {
	return Note{Position: m.At(field), Field: field, Level: level, Message: fmt.Sprintf(format, args...)}
}

// notes are what is allowed, and weaker than it looks.
func (m moduleSource) notes() []Note {
	spec := m.typed.Spec
	var notes []Note
	if spec.Suspend {
		notes = append(notes, m.note(Info, "spec.suspend", "it is suspended: this is what the controller would say if it were not"))
	}
	if spec.Tag != "" && spec.Digest == "" {
		notes = append(notes, m.note(Warning, "spec.tag", "the tag %q may be moved to any digest that the same authorities signed: write version, or a digest beside it", spec.Tag))
	}
	if spec.Insecure {
		notes = append(notes, m.note(Warning, "spec.insecure", "plain HTTP: others on the way see what is pulled, and can keep new versions back"))
	}
	notes = append(notes, m.withoutLog()...)
	for i, authority := range spec.Verify.Authorities {
		notes = append(notes, m.identityNotes(fmt.Sprintf("spec.verify.authorities[%d]", i), authority)...)
	}
	return notes
}

// withoutLog is one note for all authorities that need no log.
func (m moduleSource) withoutLog() []Note {
	var at string
	var names []string
	for i, authority := range m.typed.Spec.Verify.Authorities {
		if authority.TransparencyLog != v1alpha1.TransparencyLogIgnore {
			continue
		}
		if names = append(names, authority.Name); at == "" {
			at = fmt.Sprintf("spec.verify.authorities[%d].transparencyLog", i)
		}
	}
	if at == "" {
		return nil
	}
	return []Note{m.note(Warning, at, "Ignore (%s): no log has to know of a signature, so that one by a thief would leave no trace", strings.Join(names, ", "))}
}

func (m moduleSource) identityNotes(path string, authority v1alpha1.Authority) []Note {
	if authority.Keyless == nil {
		return nil
	}
	var notes []Note
	for i, identity := range authority.Keyless.Identities {
		at := fmt.Sprintf("%s.keyless.identities[%d]", path, i)
		if matchesAnything(identity.IssuerRegExp) {
			notes = append(notes, m.note(Warning, at+".issuerRegExp", "it matches every issuer: write the one that vouches for the signer"))
		}
		if matchesAnything(identity.SubjectRegExp) {
			notes = append(notes, m.note(Warning, at+".subjectRegExp", "it matches every subject: anybody may sign for whom the issuer vouches"))
		} else if host := wholeHost(identity); host != "" {
			notes = append(notes, m.note(Warning, at+".subjectRegExp", "it matches the workflows of every repository on %s: write the repository, or ask for it in extensions", host))
		}
	}
	return notes
}

// strangers are what no expression matches that is meant for somebody.
var strangers = []string{"x", "q7@mail.example", "https://q7.example/a/b//c@refs/heads/d"}

// matchesAnything reports whether a regular expression matches whatever comes.
func matchesAnything(text string) bool {
	if text == "" {
		return false
	}
	expression, err := regexp.Compile("^(?:" + text + ")$")
	if err != nil {
		return false
	}
	for _, stranger := range strangers {
		if !expression.MatchString(stranger) {
			return false
		}
	}
	return true
}

// workflows are subjects of repositories that nobody means, by host.
var workflows = map[string]string{
	"github.com": "https://github.com/q7-no-such-owner/q7-no-such-repository/.github/workflows/q7.yml@refs/heads/q7",
	"gitlab.com": "https://gitlab.com/q7-no-such-owner/q7-no-such-repository//.gitlab-ci.yml@refs/heads/q7",
}

// wholeHost is the host any repository of which an identity accepts; "" for
// none.
func wholeHost(identity v1alpha1.Identity) string {
	for _, extension := range identity.Extensions {
		if strings.HasPrefix(extension.Name, "sourceRepository") && extension.Name != "sourceRepositoryRef" && extension.Name != "sourceRepositoryVisibilityAtSigning" || extension.Name == "githubWorkflowRepository" {
			return ""
		}
	}
	expression, err := regexp.Compile("^(?:" + identity.SubjectRegExp + ")$")
	if err != nil || identity.SubjectRegExp == "" {
		return ""
	}
	for _, host := range []string{"github.com", "gitlab.com"} {
		if expression.MatchString(workflows[host]) {
			return host
		}
	}
	return ""
}
