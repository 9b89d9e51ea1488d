package sigstored

import (
	"strings"
	"time"

	"github.com/assay-dev/assay/test/sigstore"
)

// Person is somebody whom an issuer of the stack vouches for.
type Person struct {
	// Identity is what a certificate by Fulcio says of the person.
	Identity sigstore.Identity

	kind   string
	claims map[string]any
}

// The kinds of issuer.
const (
	kindEmail  = "email"
	kindGitHub = "github"
	kindGitLab = "gitlab"
)

// Email is a person who signed in with an address.
func (s *Stack) Email(address string) Person {
	return Person{
		kind:     kindEmail,
		Identity: sigstore.Email(address, s.issuers.url(kindEmail)),
		claims:   map[string]any{"sub": address, "email": address, "email_verified": true},
	}
}

// GitHub is a workflow on GitHub, as [sigstore.GitHub] has it, but of an issuer
// of the stack.
//
// https://docs.github.com/en/actions/reference/security/oidc
func (s *Stack) GitHub(repository, workflow, ref string) Person {
	who := sigstore.GitHub(repository, workflow, ref)
	who.Issuer = s.issuers.url(kindGitHub)
	says := who.Extensions
	reference := strings.TrimPrefix(who.Subject, "https://github.com/")
	return Person{kind: kindGitHub, Identity: who, claims: map[string]any{
		"sub":                   says["tokenSubject"],
		"event_name":            says["buildTrigger"],
		"job_workflow_ref":      reference,
		"job_workflow_sha":      says["buildSignerDigest"],
		"ref":                   ref,
		"repository":            repository,
		"repository_id":         says["sourceRepositoryIdentifier"],
		"repository_owner":      strings.TrimPrefix(says["sourceRepositoryOwnerURI"], "https://github.com/"),
		"repository_owner_id":   says["sourceRepositoryOwnerIdentifier"],
		"repository_visibility": says["sourceRepositoryVisibilityAtSigning"],
		"run_attempt":           "1",
		"run_id":                "4004",
		"runner_environment":    says["runnerEnvironment"],
		"sha":                   says["sourceRepositoryDigest"],
		"workflow":              says["githubWorkflowName"],
		"workflow_ref":          reference,
		"workflow_sha":          says["buildConfigDigest"],
	}}
}

// GitLab is a pipeline on GitLab, as [sigstore.GitLab] has it, but of an issuer
// of the stack.
//
// https://docs.gitlab.com/ci/secrets/id_token_authentication/
func (s *Stack) GitLab(project, ref string) Person {
	who := sigstore.GitLab(project, ref)
	who.Issuer = s.issuers.url(kindGitLab)
	says := who.Extensions
	kind, name := "branch", strings.TrimPrefix(ref, "refs/heads/")
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		kind, name = "tag", tag
	}
	return Person{kind: kindGitLab, Identity: who, claims: map[string]any{
		"sub":                says["tokenSubject"],
		"ci_config_ref_uri":  strings.TrimPrefix(who.Subject, "https://"),
		"ci_config_sha":      says["buildConfigDigest"],
		"job_id":             "6006",
		"namespace_id":       says["sourceRepositoryOwnerIdentifier"],
		"namespace_path":     strings.TrimPrefix(says["sourceRepositoryOwnerURI"], "https://gitlab.com/"),
		"pipeline_source":    says["buildTrigger"],
		"project_id":         says["sourceRepositoryIdentifier"],
		"project_path":       project,
		"project_visibility": says["sourceRepositoryVisibilityAtSigning"],
		"ref":                name,
		"ref_type":           kind,
		"runner_environment": says["runnerEnvironment"],
		"sha":                says["sourceRepositoryDigest"],
	}}
}

// tokenLifetime is how long a token is valid.
const tokenLifetime = 10 * time.Minute

// Token is an ID token for Sigstore, of the person's issuer, after edits have
// changed its claims.
func (s *Stack) Token(p Person, edits ...func(claims map[string]any)) (string, error) {
	now := time.Now()
	claims := map[string]any{
		"iss": p.Identity.Issuer,
		"aud": "sigstore",
		"iat": now.Unix(),
		"nbf": now.Add(-time.Minute).Unix(),
		"exp": now.Add(tokenLifetime).Unix(),
	}
	for name, value := range p.claims {
		claims[name] = value
	}
	for _, edit := range edits {
		edit(claims)
	}
	return s.issuers.sign(claims)
}
