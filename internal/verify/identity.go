package verify

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// Bounds of identities.
const (
	// MaxIdentities bounds the identities of all authorities of one policy.
	MaxIdentities = 32
	// MaxIdentityLength bounds an issuer, a subject, a regular expression and
	// an extension's value, in bytes.
	MaxIdentityLength = 512
)

// IdentitySpec is who may sign, as it is written. Issuer or IssuerRegExp is
// needed, and Subject or SubjectRegExp.
type IdentitySpec struct {
	// Issuer is the whole URL of the OpenID Connect issuer that vouched for the
	// signer; IssuerRegExp a regular expression (RE2) that matches the whole.
	Issuer, IssuerRegExp string
	// Subject is the whole subject alternative name of the certificate: an
	// e-mail address, a URI or another name; SubjectRegExp a regular expression
	// (RE2) that matches the whole.
	Subject, SubjectRegExp string
	// Extensions are what the certificate must say besides, each exactly.
	Extensions []Extension
}

// Extension is what a certificate by Fulcio says of a signer, beside issuer and
// subject.
type Extension struct {
	// Name is one of [ExtensionNames].
	Name string `json:"name"`
	// Value is the whole value.
	Value string `json:"value"`
}

// IdentityError is an identity that cannot be used.
type IdentityError struct {
	// Field is the path of the field below the identity.
	Field string
	// Problem is what was expected and what was found.
	Problem string
}

func (e *IdentityError) Error() string { return e.Field + ": " + e.Problem }

// Identity is who may sign with a certificate. Only [NewIdentity] makes one.
type Identity struct {
	issuer, subject matcher
	extensions      []Extension // sorted by name, which is unique
}

// NewIdentity reads an identity. The error is an *IdentityError.
func NewIdentity(spec IdentitySpec) (Identity, error) {
	issuer, err := newMatcher("issuer", spec.Issuer, spec.IssuerRegExp)
	if err != nil {
		return Identity{}, err
	}
	subject, err := newMatcher("subject", spec.Subject, spec.SubjectRegExp)
	if err != nil {
		return Identity{}, err
	}
	seen := map[string]bool{}
	for i, e := range spec.Extensions {
		field := fmt.Sprintf("extensions[%d]", i)
		switch {
		case extensionOf(e.Name) == nil:
			return Identity{}, &IdentityError{field + ".name", fmt.Sprintf("expected one of %s, found %.64q", strings.Join(ExtensionNames(), ", "), e.Name)}
		case seen[e.Name]:
			return Identity{}, &IdentityError{field + ".name", fmt.Sprintf("expected each extension once, found %s again", e.Name)}
		case e.Value == "" || len(e.Value) > MaxIdentityLength:
			return Identity{}, &IdentityError{field + ".value", fmt.Sprintf("expected 1 to %d bytes, found %d", MaxIdentityLength, len(e.Value))}
		}
		seen[e.Name] = true
	}
	extensions := slices.Clone(spec.Extensions)
	slices.SortFunc(extensions, func(a, b Extension) int { return strings.Compare(a.Name, b.Name) })
	return Identity{issuer: issuer, subject: subject, extensions: extensions}, nil
}

func (i Identity) isZero() bool { return i.issuer == matcher{} || i.subject == matcher{} }

// matches reports whether the claims of a certificate are this identity's.
func (i Identity) matches(c claims) bool {
	return i.namesSigner(c) && i.differing(c) == nil
}

// namesSigner reports whether issuer and subject match.
func (i Identity) namesSigner(c claims) bool {
	return i.issuer.matches(c.issuer) && i.subject.matches(c.subject)
}

// differing returns the first extension that the claims lack or have otherwise.
func (i Identity) differing(c claims) *Extension {
	for _, e := range i.extensions {
		if found, ok := c.extension(e.Name); !ok || found != e.Value {
			return &e
		}
	}
	return nil
}

// form is the canonical form of the identity.
func (i Identity) form() identityForm {
	return identityForm{i.issuer.exact, i.issuer.text, i.subject.exact, i.subject.text, i.extensions}
}

type identityForm struct {
	Issuer        string      `json:"issuer,omitempty"`
	IssuerRegExp  string      `json:"issuerRegExp,omitempty"`
	Subject       string      `json:"subject,omitempty"`
	SubjectRegExp string      `json:"subjectRegExp,omitempty"`
	Extensions    []Extension `json:"extensions,omitempty"`
}

// String names the identity for a message.
func (i Identity) String() string {
	return fmt.Sprintf("issuer %s, subject %s", i.issuer, i.subject)
}

// matcher is an exact value or a regular expression.
type matcher struct {
	exact  string
	regExp *regexp.Regexp
	text   string // of the regular expression, as it is written
	size   int    // of it, as sizeOf has it
}

// newMatcher reads the fields name and nameRegExp, exactly one of which must
// have a value.
func newMatcher(name, exact, text string) (matcher, error) {
	switch {
	case (exact == "") == (text == ""):
		return matcher{}, &IdentityError{name, fmt.Sprintf("expected exactly one of %s and %sRegExp", name, name)}
	case len(exact) > MaxIdentityLength || len(text) > MaxIdentityLength:
		return matcher{}, &IdentityError{name, fmt.Sprintf("expected at most %d bytes, found %d", MaxIdentityLength, len(exact)+len(text))}
	case exact != "":
		return matcher{exact: exact}, nil
	}
	// Alone first: wrapped, "a)|(?:.*" would compile, and match everything.
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return matcher{}, &IdentityError{name + "RegExp", fmt.Sprintf("expected a regular expression in RE2 syntax, found %q", text)}
	}
	if sizeOf(parsed) > maxRegExpSize {
		return matcher{}, &IdentityError{name + "RegExp", fmt.Sprintf("expected a regular expression that repeats less, found %q", text)}
	}
	// The syntax of one that compiles alone can still reach beyond its end: \Q
	// without \E, for one. It does not compile when wrapped.
	whole, err := regexp.Compile("^(?:" + text + ")$")
	if err != nil {
		return matcher{}, &IdentityError{name + "RegExp", fmt.Sprintf("expected a regular expression that is complete in itself, found %q", text)}
	}
	return matcher{regExp: whole, text: text, size: sizeOf(parsed)}, nil
}

// maxRegExpSize bounds a regular expression with all its repetitions written
// out, in nodes: (?:a?){1000} is one of 2001. Memory and time follow it.
const maxRegExpSize = 100_000

// sizeOf is how many nodes a regular expression has with all its repetitions
// written out, up to somewhat more than maxRegExpSize.
func sizeOf(re *syntax.Regexp) int {
	size := 1
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		if size += sizeOf(sub); size > maxRegExpSize {
			break
		}
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return min(size, maxRegExpSize+1)
}

// matches compares the whole value. Nothing matches the empty one: a
// certificate that does not say who its signer is, is nobody's.
func (m matcher) matches(value string) bool {
	switch {
	case value == "":
		return false
	case m.regExp != nil:
		return m.regExp.MatchString(value)
	default:
		return m.exact != "" && value == m.exact
	}
}

func (m matcher) String() string {
	if m.regExp != nil {
		return "like " + short(m.text, shortText)
	}
	return short(m.exact, shortText)
}
