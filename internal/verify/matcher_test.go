package verify

import "testing"

// A whole value matches, in its own spelling, and no other.
func TestMatchers(t *testing.T) {
	const value = "https://issuer.example/a"
	for name, tt := range map[string]struct {
		exact, regExp string
		value         string
		want          bool
	}{
		"exact":                      {exact: value, value: value, want: true},
		"exact, longer":              {exact: value, value: value + "b"},
		"exact, begins earlier":      {exact: value, value: "x" + value},
		"exact, shorter":             {exact: value, value: value[:len(value)-1]},
		"exact, another case":        {exact: value, value: "https://ISSUER.example/a"},
		"exact, a line more":         {exact: value, value: value + "\n"},
		"exact is no expression":     {exact: "https://issuer.example/.*", value: value},
		"expression":                 {regExp: `https://issuer\.example/[a-z]`, value: value, want: true},
		"expression, longer":         {regExp: `https://issuer\.example/[a-z]`, value: value + "b"},
		"expression, begins earlier": {regExp: `https://issuer\.example/[a-z]`, value: "x" + value},
		"expression, another case":   {regExp: `https://issuer\.example/[a-z]`, value: "https://issuer.example/A"},
		"expression, a line more":    {regExp: `https://issuer\.example/[a-z]`, value: value + "\nx"},
		"expression, a line before":  {regExp: `https://issuer\.example/[a-z]`, value: "x\n" + value},
		"expression, first branch":   {regExp: `https://issuer|a`, value: "https://issuer.example/a"},
		"expression, second branch":  {regExp: `b|/a`, value: value},
		"expression of dots":         {regExp: ".*", value: "x\ny"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := newMatcher("issuer", tt.exact, tt.regExp)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.matches(tt.value); got != tt.want {
				t.Errorf("%q matches %q: %t", m, tt.value, got)
			}
		})
	}
	if (matcher{}).matches(value) {
		t.Error("the zero matcher matches")
	}
}

// An extension is compared as a whole and in its own spelling.
func TestExtensionsAreCompared(t *testing.T) {
	id, err := NewIdentity(IdentitySpec{Issuer: "i", Subject: "s", Extensions: []Extension{{"buildTrigger", "push"}, {"runnerEnvironment", "github-hosted"}}})
	if err != nil {
		t.Fatal(err)
	}
	right := func() claims {
		return claims{"i", "s", []Extension{{"buildTrigger", "push"}, {"runnerEnvironment", "github-hosted"}, {"tokenSubject", "x"}}}
	}
	if !id.matches(right()) {
		t.Fatal("expected a match")
	}
	for _, value := range []string{"", "PUSH", "pus", "pushed", "xpush", "push\n"} {
		c := right()
		if c.extensions[0].Value = value; id.matches(c) {
			t.Errorf("%q matches", value)
		}
		c = right()
		if c.extensions[1].Value = value; id.matches(c) {
			t.Errorf("the second: %q matches", value)
		}
	}
	for i := range 2 {
		c := right()
		c.extensions = append(c.extensions[:i], c.extensions[i+1:]...)
		if id.matches(c) {
			t.Errorf("without %d: it matches", i)
		}
	}
}
