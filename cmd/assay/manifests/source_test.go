package manifests

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var server = sync.OnceValues(NewAPIServer)

// sourceOf reads the one ModuleSource of a text.
func sourceOf(t *testing.T, content string) moduleSource {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	set := &Set{}
	(&parser{file: "a.yaml", set: set}).parse([]byte(content))
	if len(set.Objects) != 1 || len(set.Problems) > 0 {
		t.Fatalf("expected one object, found %d and %v", len(set.Objects), set.Problems)
	}
	return s.read(t.Context(), set.Objects[0], "fallback")
}

// spec is a ModuleSource with what stands there beside url, and in its only
// authority.
func spec(fields, authority string) string {
	return header + `metadata: {name: app}
spec:
  url: oci://ghcr.io/org/app
` + fields + `  verify:
    authorities:
      - name: a
` + authority
}

const (
	keyed   = "        key: {secretRef: {name: keys}}\n"
	keyless = "        keyless:\n          identities:\n            - issuer: https://issuer.example\n"
)

func TestSourceProblems(t *testing.T) {
	manyUnknown := "  x: 1\n"
	for i := range 2 * maxProblems {
		manyUnknown += fmt.Sprintf("  x%02d: 1\n", i)
	}
	tests := map[string]struct {
		content string
		want    []string // field, line and a part of the message
	}{
		"none":              {spec("", keyed), nil},
		"CEL":               {spec("  version: 1.x\n  tag: latest\n", keyed), []string{"spec 4 version and tag exclude each other"}},
		"form":              {spec("  version: latest\n", keyed), []string{`spec.version 6 Invalid value: "latest": version must be a semantic version`}},
		"type":              {spec("  suspend: maybe\n", keyed), []string{"spec.suspend 6 must be of type boolean"}},
		"missing":           {header + "metadata: {name: app}\nspec: {}\n", []string{"spec.url 4 Required value", "spec.verify 4 Required value"}},
		"no spec":           {header + "metadata: {name: app}\n", []string{"spec 1 Required value"}},
		"spec is null":      {header + "metadata: {name: app}\nspec:\n", []string{"spec 4 Required value"}},
		"no metadata":       {strings.Replace(spec("", keyed), "metadata: {name: app}\n", "", 1), []string{"metadata.name 1 name or generateName is required"}},
		"metadata is text":  {strings.Replace(spec("", keyed), "{name: app}", "app", 1), []string{"metadata 3 cannot unmarshal string"}},
		"namespace":         {strings.Replace(spec("", keyed), "{name: app}", "{name: app, namespace: A}", 1), []string{`metadata.namespace 3 Invalid value: "A"`}},
		"unknown":           {spec("  vershun: 1.x\n", keyed), []string{"spec.vershun 6 expected a field that the API server knows"}},
		"unknown, metadata": {strings.Replace(spec("", keyed), "{name: app}", "{name: app, label: {}}", 1), []string{"metadata.label 3 expected a field that the API server knows"}},
		"unknown, kept":     {spec("", keyed+"        trustedroot: x\n"), []string{"spec.verify.authorities[0].trustedroot 10 expected a field that the controller knows"}},
		"unknown and CEL":   {spec("  version: 1.x\n  tag: latest\n", keyed+"        trustedroot: x\n"), []string{"spec 4 version and tag", "spec.verify.authorities[0].trustedroot 12 expected a field"}},
		"twice":             {spec("  tag: a\n  tag: b\n", keyed), []string{"spec.tag 7 expected each field once, found it in line 6 already"}},
		"twice, in a list":  {spec("", keyed+"        name: b\n"), []string{"spec.verify.authorities[0].name 10 expected each field once"}},
		"a private key":     {spec("", "        key: {data: '-----BEGIN PRIVATE KEY-----\n\n          topsecret\n\n          -----END PRIVATE KEY-----'}\n"), []string{"spec.verify.authorities[0].key.data 9 data holds a private key"}},
		"apiVersion":        {strings.Replace(spec("", keyed), "/v1alpha1", "/v1beta1", 1), []string{`apiVersion 1 expected source.assay.dev/v1alpha1, found "source.assay.dev/v1beta1"`}},
		"kind":              {strings.Replace(spec("", keyed), "ModuleSource", "ModuleSauce", 1), []string{`kind 2 expected ModuleSource, found "ModuleSauce"`}},
		"too many":          {spec(manyUnknown, keyed), append(slicesOf("spec.x", maxProblems), fmt.Sprintf(" 1 found %d more problems", maxProblems+1))},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := sourceOf(t, tt.content)
			if (m.typed != nil) != (len(tt.want) == 0) {
				t.Errorf("expected something to judge where there is no problem, found %v", m.typed)
			}
			if len(m.problems) != len(tt.want) {
				t.Fatalf("expected %d problems, found %v", len(tt.want), m.problems)
			}
			for i, p := range m.problems {
				if found := fmt.Sprintf("%s %d %s", p.Field, p.Line, p.Message); !matches(found, tt.want[i]) {
					t.Errorf("expected %q, found %q", tt.want[i], found)
				}
				if strings.Contains(p.Message, "topsecret") {
					t.Errorf("a private key is in the message: %q", p.Message)
				}
			}
		})
	}
}

func slicesOf(text string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = text
	}
	return all
}

// matches reports whether a line begins with the field and line of another, and
// holds its message.
func matches(found, want string) bool {
	parts := strings.SplitN(want, " ", 3)
	if len(parts) < 3 {
		return strings.HasPrefix(found, want)
	}
	return strings.HasPrefix(found, parts[0]+" "+parts[1]+" ") && strings.Contains(found, parts[2])
}

func TestSourceDefaults(t *testing.T) {
	m := sourceOf(t, spec("", keyed))
	if m.namespace != "fallback" || m.typed.Namespace != "fallback" || m.typed.Spec.Timeout.Duration.String() != "1m0s" || m.typed.Spec.Verify.Authorities[0].TransparencyLog != "Require" {
		t.Errorf("expected the namespace and the API server's defaults, found %+v", m.typed)
	}
	m = sourceOf(t, strings.Replace(spec("", keyed), "{name: app}", "{generateName: app-}", 1))
	if m.name != "app-(generated)" || m.typed == nil {
		t.Errorf("found %q, %v", m.name, m.problems)
	}
}

func TestNotes(t *testing.T) {
	subject := func(expression string) string { return keyless + "              subjectRegExp: " + expression + "\n" }
	const (
		digest   = "  digest: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
		anybody  = "warning spec.verify.authorities[0].keyless.identities[0].subjectRegExp 12 it matches every subject"
		onGitHub = "warning spec.verify.authorities[0].keyless.identities[0].subjectRegExp 12 it matches the workflows of every repository on github.com"
		onGitLab = "warning spec.verify.authorities[0].keyless.identities[0].subjectRegExp 12 it matches the workflows of every repository on gitlab.com"
	)
	tests := map[string]struct {
		content string
		want    []string
	}{
		"none":                   {spec("  version: 1.x\n", keyed), nil},
		"tag":                    {spec("  tag: latest\n", keyed), []string{`warning spec.tag 6 the tag "latest" may be moved`}},
		"tag with a digest":      {spec("  tag: latest\n"+digest, keyed), nil},
		"insecure":               {spec("  insecure: true\n", keyed), []string{"warning spec.insecure 6 plain HTTP"}},
		"suspended":              {spec("  suspend: true\n", keyed), []string{"info spec.suspend 6 it is suspended"}},
		"no log":                 {spec("", keyed+"        transparencyLog: Ignore\n"), []string{"warning spec.verify.authorities[0].transparencyLog 10 Ignore (a): no log"}},
		"one repository":         {spec("", subject(`https://github\.com/org/app/.*`)), nil},
		"one owner":              {spec("", subject(`https://github\.com/org/.*`)), nil},
		"addresses of a company": {spec("", subject(`.*@example\.org`)), nil},
		"everybody":              {spec("", subject(`.*`)), []string{anybody}},
		"everybody, otherwise":   {spec("", subject(`'[\s\S]+'`)), []string{anybody}},
		"all of GitHub":          {spec("", subject(`https://github.com/.*`)), []string{onGitHub}},
		"all workflows":          {spec("", subject(`https://github.com/[^/]+/[^/]+/.github/workflows/.+@refs/heads/.+`)), []string{onGitHub}},
		"all of GitLab":          {spec("", subject(`^https://gitlab\.com/.*$`)), []string{onGitLab}},
		"bound by an extension":  {spec("", subject(`https://github.com/.*`)+"              extensions: [{name: sourceRepositoryOwnerURI, value: https://github.com/org}]\n"), nil},
		"bound to a branch":      {spec("", subject(`https://github.com/.*`)+"              extensions: [{name: sourceRepositoryRef, value: refs/heads/main}]\n"), []string{onGitHub}},
		"every issuer": {
			spec("", "        keyless:\n          identities:\n            - issuerRegExp: .+\n              subject: a@example.org\n"),
			[]string{"warning spec.verify.authorities[0].keyless.identities[0].issuerRegExp 11 it matches every issuer"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := sourceOf(t, tt.content)
			if m.typed == nil {
				t.Fatal(m.problems)
			}
			var found []string
			for _, n := range m.notes() {
				found = append(found, fmt.Sprintf("%s %s %d %s", n.Level, n.Field, n.Line, n.Message))
			}
			if diff := cmp.Diff(tt.want, found, cmp.Comparer(func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) })); diff != "" {
				t.Errorf("(-expected +found):\n%s", diff)
			}
		})
	}
}
