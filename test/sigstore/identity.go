package sigstore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// The issuers of the identities below, as the public instance knows them.
const (
	GitHubIssuer = "https://token.actions.githubusercontent.com"
	GitLabIssuer = "https://gitlab.com"
)

// Identity is what a certificate says about its holder.
type Identity struct {
	// Issuer is the OpenID Connect provider's URL.
	Issuer string

	// Subject is the subject alternative name: a URI if it contains "://", an
	// email address if it contains "@", and otherwise an otherName of the kind
	// that Fulcio has for user names.
	Subject string

	// Extensions are further claims of the token, by the names that sigstore-go
	// gives them in JSON, and two that it has no names for:
	// deploymentEnvironment and tokenSubject. Other names are an error.
	Extensions map[string]string
}

// Email is the identity of a person who signed in with an address.
func Email(address, issuer string) Identity {
	return Identity{Issuer: issuer, Subject: address, Extensions: map[string]string{"tokenSubject": address}}
}

// GitHub is the identity of a workflow in a public repository on GitHub, run
// for a push: "example-org/app", "release.yml", "refs/tags/v1.0.0".
func GitHub(repository, workflow, ref string) Identity {
	home := "https://github.com/" + repository
	subject := fmt.Sprintf("%s/.github/workflows/%s@%s", home, workflow, ref)
	commit := commitOf(repository, ref)
	name, _, _ := strings.Cut(workflow, ".")
	return Identity{
		Issuer:  GitHubIssuer,
		Subject: subject,
		Extensions: map[string]string{
			"githubWorkflowTrigger":               "push",
			"githubWorkflowSHA":                   commit,
			"githubWorkflowName":                  name,
			"githubWorkflowRepository":            repository,
			"githubWorkflowRef":                   ref,
			"buildSignerURI":                      subject,
			"buildSignerDigest":                   commit,
			"runnerEnvironment":                   "github-hosted",
			"sourceRepositoryURI":                 home,
			"sourceRepositoryDigest":              commit,
			"sourceRepositoryRef":                 ref,
			"sourceRepositoryIdentifier":          "20020002",
			"sourceRepositoryOwnerURI":            "https://github.com/" + ownerOf(repository),
			"sourceRepositoryOwnerIdentifier":     "30030003",
			"buildConfigURI":                      subject,
			"buildConfigDigest":                   commit,
			"buildTrigger":                        "push",
			"runInvocationURI":                    home + "/actions/runs/4004/attempts/1",
			"sourceRepositoryVisibilityAtSigning": "public",
			"tokenSubject":                        fmt.Sprintf("repo:%s:ref:%s", repository, ref),
		},
	}
}

// GitLab is the identity of a pipeline of a public project on gitlab.com, run
// for a push: "example-group/app", "refs/heads/main".
func GitLab(project, ref string) Identity {
	home := "https://gitlab.com/" + project
	subject := fmt.Sprintf("%s//.gitlab-ci.yml@%s", home, ref)
	commit := commitOf(project, ref)
	kind := "branch"
	if strings.HasPrefix(ref, "refs/tags/") {
		kind = "tag"
	}
	name := strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")
	return Identity{
		Issuer:  GitLabIssuer,
		Subject: subject,
		Extensions: map[string]string{
			"buildSignerURI":                      subject,
			"buildSignerDigest":                   commit,
			"runnerEnvironment":                   "gitlab-hosted",
			"sourceRepositoryURI":                 home,
			"sourceRepositoryDigest":              commit,
			"sourceRepositoryRef":                 ref,
			"sourceRepositoryIdentifier":          "9009",
			"sourceRepositoryOwnerURI":            "https://gitlab.com/" + ownerOf(project),
			"sourceRepositoryOwnerIdentifier":     "7007",
			"buildConfigURI":                      subject,
			"buildConfigDigest":                   commit,
			"buildTrigger":                        "push",
			"runInvocationURI":                    home + "/-/jobs/6006",
			"sourceRepositoryVisibilityAtSigning": "public",
			"tokenSubject":                        fmt.Sprintf("project_path:%s:ref_type:%s:ref:%s", project, kind, name),
		},
	}
}

// ownerOf is a repository's organization, or its group with the subgroups.
func ownerOf(repository string) string {
	if last := strings.LastIndex(repository, "/"); last > 0 {
		return repository[:last]
	}
	return repository
}

// commitOf makes up a commit: the same for the same repository and ref.
func commitOf(repository, ref string) string {
	sum := sha256.Sum256([]byte(repository + "@" + ref))
	return hex.EncodeToString(sum[:20])
}
