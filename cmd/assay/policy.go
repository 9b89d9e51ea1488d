package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/assay-dev/assay/internal/verify"
)

// authorityName is the authority that the flags describe, in messages.
const authorityName = "command-line"

// policyFlags say who must have signed, by the names that Cosign's command line
// has for the same.
type policyFlags struct {
	keys           []string
	identity       string
	identityRegExp string
	issuer         string
	issuerRegExp   string
	extensions     []string
	ignoreLog      bool
	roots          *rootFlags
}

func addPolicyFlags(s *pflag.FlagSet) *policyFlags {
	f := &policyFlags{roots: addRootFlags(s)}
	s.StringArrayVar(&f.keys, "cosign-key", nil, "file with public keys in PEM, any one of which must have signed; may be given several times")
	s.StringVar(&f.identity, "certificate-identity", "", "who must have signed without a key: the whole subject of the certificate")
	s.StringVar(&f.identityRegExp, "certificate-identity-regexp", "", "the same as a regular expression, which must match the whole")
	s.StringVar(&f.issuer, "certificate-oidc-issuer", "", "URL of the OpenID Connect issuer that vouched for the identity")
	s.StringVar(&f.issuerRegExp, "certificate-oidc-issuer-regexp", "", "the same as a regular expression, which must match the whole")
	s.StringArrayVar(&f.extensions, "certificate-extension", nil, "what the certificate must say besides, as name=value, such as githubWorkflowRef=refs/heads/main; may be given several times")
	s.BoolVar(&f.ignoreLog, "insecure-ignore-tlog", false, "accept signatures that no transparency log recorded; without a key they need a timestamp by an authority of the trusted root")
	return f
}

func (f *policyFlags) namesIdentity() bool {
	return f.identity != "" || f.identityRegExp != "" || f.issuer != "" || f.issuerRegExp != "" || len(f.extensions) > 0
}

const (
	tryKey     = "--cosign-key cosign.pub"
	tryKeyless = "--certificate-identity user@example.com --certificate-oidc-issuer https://accounts.google.com"
)

// policy is what the flags say, as the controller has it.
func (f *policyFlags) policy(ctx context.Context) (verify.Policy, error) {
	a := verify.Authority{Name: authorityName, TransparencyLog: verify.LogRequire}
	if f.ignoreLog {
		a.TransparencyLog = verify.LogIgnore
	}
	var err error
	switch {
	case len(f.keys) > 0 && f.namesIdentity():
		return verify.Policy{}, usageError("", "expected --cosign-key or --certificate-identity, found both: a ModuleSource can ask for both, as two authorities")
	case len(f.keys) > 0:
		a.Keys, err = readKeys("--cosign-key", f.keys)
	case f.namesIdentity():
		a.Identities, err = f.identities()
	default:
		return verify.Policy{}, usageError(tryKey+"\n     "+tryKeyless, "expected who must have signed: a key, or an identity and its issuer; found neither")
	}
	if err != nil {
		return verify.Policy{}, err
	}
	if len(a.Keys) == 0 || a.TransparencyLog == verify.LogRequire {
		if a.Root, err = f.roots.root(ctx); err != nil {
			return verify.Policy{}, err
		}
	}
	policy := verify.Policy{Threshold: 1, Authorities: []verify.Authority{a}}
	var bad *verify.PolicyError
	if err := policy.Validate(); errors.As(err, &bad) {
		return verify.Policy{}, usageError("", "%s", bad.Problem)
	}
	return policy, nil
}

// readKeys reads files with public keys. An error names the flag or argument that
// they are of.
func readKeys(of string, files []string) ([]verify.Key, error) {
	var keys []verify.Key
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, usageError("", "%s: %v", of, err)
		}
		parsed, err := verify.ParseKeys(raw)
		if err != nil {
			instead := ""
			if public, ok := strings.CutSuffix(file, ".key"); ok {
				instead = strings.TrimPrefix(of+" ", "FILE ") + public + ".pub"
			}
			return nil, usageError(instead, "%s %s: %v", of, file, err)
		}
		keys = append(keys, parsed...)
	}
	return keys, nil
}

// flagOf are the flags of an identity's fields.
var flagOf = map[string]string{
	"issuer": "--certificate-oidc-issuer", "issuerRegExp": "--certificate-oidc-issuer-regexp",
	"subject": "--certificate-identity", "subjectRegExp": "--certificate-identity-regexp",
}

func (f *policyFlags) identities() ([]verify.Identity, error) {
	switch {
	case f.identity == "" && f.identityRegExp == "":
		return nil, usageError(tryKeyless, "expected --certificate-identity or --certificate-identity-regexp beside the issuer, found neither: anybody could sign")
	case f.issuer == "" && f.issuerRegExp == "":
		return nil, usageError(tryKeyless, "expected --certificate-oidc-issuer or --certificate-oidc-issuer-regexp beside the identity, found neither: any issuer could vouch for it")
	}
	for flag, both := range map[string]bool{
		"--certificate-identity":    f.identity != "" && f.identityRegExp != "",
		"--certificate-oidc-issuer": f.issuer != "" && f.issuerRegExp != "",
	} {
		if both {
			return nil, usageError("", "expected %s or %s-regexp, found both", flag, flag)
		}
	}
	spec := verify.IdentitySpec{Issuer: f.issuer, IssuerRegExp: f.issuerRegExp, Subject: f.identity, SubjectRegExp: f.identityRegExp}
	for _, text := range f.extensions {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, usageError("", "--certificate-extension: expected name=value, found %.200q", text)
		}
		spec.Extensions = append(spec.Extensions, verify.Extension{Name: name, Value: value})
	}
	identity, err := verify.NewIdentity(spec)
	var bad *verify.IdentityError
	if errors.As(err, &bad) {
		flag := flagOf[bad.Field]
		if flag == "" {
			flag = "--certificate-extension (" + bad.Field + ")"
		}
		return nil, usageError("", "%s: %s", flag, bad.Problem)
	}
	if err != nil {
		return nil, fmt.Errorf("the identity: %w", err)
	}
	return []verify.Identity{identity}, nil
}
