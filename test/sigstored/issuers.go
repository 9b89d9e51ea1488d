package sigstored

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
)

// issuers are the issuers of ID tokens, one for each kind, with one key.
type issuers struct {
	base string
	key  *rsa.PrivateKey
}

func (i *issuers) url(kind string) string { return i.base + "/" + kind }

// serveIssuers serves what OpenID Connect Discovery wants. There is no page to
// sign in at: tokens are made by Token.
func (s *Stack) serveIssuers() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	s.issuers = &issuers{key: key}
	mux := http.NewServeMux()
	for _, kind := range []string{kindEmail, kindGitHub, kindGitLab} {
		mux.HandleFunc("GET /"+kind+"/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
			s.issuers.discovery(w, kind)
		})
	}
	mux.HandleFunc("GET /keys", s.issuers.keys)
	s.issuers.base, err = s.serve(mux)
	return err
}

func (i *issuers) discovery(w http.ResponseWriter, kind string) {
	answerJSON(w, http.StatusOK, map[string]any{
		"issuer":                                i.url(kind),
		"authorization_endpoint":                i.url(kind) + "/auth",
		"token_endpoint":                        i.url(kind) + "/token",
		"jwks_uri":                              i.base + "/keys",
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

// keyID is what the tokens call the only key.
const keyID = "test"

// keys is RFC 7517's set of keys.
func (i *issuers) keys(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": keyID,
		"n": base64.RawURLEncoding.EncodeToString(i.key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(i.key.E)).Bytes()),
	}}})
}

// sign makes a token: RFC 7519, signed as RFC 7518 3.3 says.
func (i *issuers) sign(claims map[string]any) (string, error) {
	var token string
	for _, part := range []any{map[string]string{"alg": "RS256", "typ": "JWT", "kid": keyID}, claims} {
		content, err := json.Marshal(part)
		if err != nil {
			return "", fmt.Errorf("encoding a token: %w", err)
		}
		token += base64.RawURLEncoding.EncodeToString(content) + "."
	}
	token = token[:len(token)-1]
	sum := sha256.Sum256([]byte(token))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return token + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// answerJSON writes an answer, to a client whose going away concerns nobody.
func answerJSON(w http.ResponseWriter, code int, content any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(content)
}

// template is how Fulcio makes certificates of the claims of one provider. A
// value is a claim's name, or a template over claims and defaults.
type template struct {
	Subject    string            `json:"SubjectAlternativeNameTemplate"`
	Defaults   map[string]string `json:"DefaultTemplateValues"`
	Extensions map[string]string `json:"ExtensionTemplates"`
}

// fulcioConfiguration is Fulcio's configuration for the issuers: for GitHub and
// GitLab with the extensions that the public instance writes.
//
// https://github.com/sigstore/fulcio/blob/v1.8.8/docs/oid-info.md
func (i *issuers) fulcioConfiguration() []byte {
	issuer := func(kind, type_, provider string) map[string]string {
		return map[string]string{"IssuerURL": i.url(kind), "ClientID": "sigstore", "Type": type_, "CIProvider": provider}
	}
	content, err := json.Marshal(map[string]any{
		"OIDCIssuers": map[string]any{
			i.url(kindEmail):  issuer(kindEmail, "email", ""),
			i.url(kindGitHub): issuer(kindGitHub, "ci-provider", kindGitHub),
			i.url(kindGitLab): issuer(kindGitLab, "ci-provider", kindGitLab),
		},
		"CIIssuerMetadata": map[string]template{kindGitHub: githubTemplate, kindGitLab: gitlabTemplate},
	})
	if err != nil {
		panic(err) // Strings always encode.
	}
	return content
}

var githubTemplate = template{
	Subject:  "{{ .url }}/{{ .job_workflow_ref }}",
	Defaults: map[string]string{"url": "https://github.com"},
	Extensions: map[string]string{
		"GithubWorkflowTrigger":               "event_name",
		"GithubWorkflowSHA":                   "sha",
		"GithubWorkflowName":                  "workflow",
		"GithubWorkflowRepository":            "repository",
		"GithubWorkflowRef":                   "ref",
		"BuildSignerURI":                      "{{ .url }}/{{ .job_workflow_ref }}",
		"BuildSignerDigest":                   "job_workflow_sha",
		"RunnerEnvironment":                   "runner_environment",
		"SourceRepositoryURI":                 "{{ .url }}/{{ .repository }}",
		"SourceRepositoryDigest":              "sha",
		"SourceRepositoryRef":                 "ref",
		"SourceRepositoryIdentifier":          "repository_id",
		"SourceRepositoryOwnerURI":            "{{ .url }}/{{ .repository_owner }}",
		"SourceRepositoryOwnerIdentifier":     "repository_owner_id",
		"BuildConfigURI":                      "{{ .url }}/{{ .workflow_ref }}",
		"BuildConfigDigest":                   "workflow_sha",
		"BuildTrigger":                        "event_name",
		"RunInvocationURI":                    "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}",
		"SourceRepositoryVisibilityAtSigning": "repository_visibility",
	},
}

var gitlabTemplate = template{
	Subject:  "https://{{ .ci_config_ref_uri }}",
	Defaults: map[string]string{"url": "https://gitlab.com"},
	Extensions: map[string]string{
		"BuildSignerURI":                      "https://{{ .ci_config_ref_uri }}",
		"BuildSignerDigest":                   "ci_config_sha",
		"RunnerEnvironment":                   "runner_environment",
		"SourceRepositoryURI":                 "{{ .url }}/{{ .project_path }}",
		"SourceRepositoryDigest":              "sha",
		"SourceRepositoryRef":                 `refs/{{ if eq .ref_type "branch" }}heads{{ else }}tags{{ end }}/{{ .ref }}`,
		"SourceRepositoryIdentifier":          "project_id",
		"SourceRepositoryOwnerURI":            "{{ .url }}/{{ .namespace_path }}",
		"SourceRepositoryOwnerIdentifier":     "namespace_id",
		"BuildConfigURI":                      "https://{{ .ci_config_ref_uri }}",
		"BuildConfigDigest":                   "ci_config_sha",
		"BuildTrigger":                        "pipeline_source",
		"RunInvocationURI":                    "{{ .url }}/{{ .project_path }}/-/jobs/{{ .job_id }}",
		"SourceRepositoryVisibilityAtSigning": "project_visibility",
	},
}
