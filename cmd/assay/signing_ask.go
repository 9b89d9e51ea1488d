package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sigstore/cosign/v2/cmd/cosign/cli/sign/privacy"
	"github.com/sigstore/cosign/v2/pkg/providers"

	"github.com/assay-dev/assay/internal/signing"
)

const (
	passwordVariable = "COSIGN_PASSWORD"
	// tokenAudience is for whom an identity token is: every Fulcio wants it.
	tokenAudience = "sigstore"
	// maxTokenBytes bounds an identity token; 2 KiB are usual.
	maxTokenBytes = 64 << 10
)

// loadKey loads the private key, and asks for its password at most once.
func (f *signingFlags) loadKey(ctx context.Context, t *terminal) (*signing.Key, error) {
	key, err := signing.LoadKey(ctx, f.key, func() ([]byte, error) { return t.keyPassword(ctx, "Password for the private key") })
	var (
		exit   *exitError
		noFile *fs.PathError
	)
	switch {
	case err == nil, errors.As(err, &exit), ctx.Err() != nil:
		return key, err
	case errors.As(err, &noFile):
		return nil, usageError("", "--cosign-key: %v", err)
	case strings.Contains(f.key, "://") && !errors.Is(err, signing.ErrPassword):
		return nil, fmt.Errorf("--cosign-key: %w", err) // A service that does not answer, for one.
	default:
		return nil, usageError("", "--cosign-key: %s: %v", f.key, err)
	}
}

// keyPassword is $COSIGN_PASSWORD, also if that is empty, or asked for. It is not
// read from standard input, as Cosign does where there is no terminal: what is
// piped there by accident would be taken for it.
func (t *terminal) keyPassword(ctx context.Context, question string) ([]byte, error) {
	if password, set := os.LookupEnv(passwordVariable); set {
		return []byte(password), nil
	}
	if !t.canAsk {
		return nil, usageError("", "expected the password of the private key in $%s (set and empty for none), found neither that nor a terminal to ask on", passwordVariable)
	}
	return t.askPassword(ctx, question)
}

// token is the identity token for keyless signing. No error repeats any of it.
func (f *signingFlags) token(ctx context.Context, t *terminal) (string, error) {
	token, err := f.givenToken()
	from := "--identity-token"
	if token == "" && err == nil {
		from = "the identity token of this environment"
		token, err = ambientToken(ctx)
	}
	if err != nil {
		return "", err
	}
	token = strings.TrimSpace(token)
	claims, ok := claimsOf(token)
	if !ok {
		return "", fmt.Errorf("%s: expected a JSON web token, found something else", from)
	}
	if expiry := time.Unix(int64(claims.Expiry), 0); claims.Expiry > 0 && t.now().After(expiry) {
		return "", fmt.Errorf("%s: expected a token that is valid now, found one that expired at %s", from, expiry.UTC().Format(time.RFC3339))
	}
	return token, nil
}

// givenToken is that of --identity-token: itself, or in the file of that name.
func (f *signingFlags) givenToken() (string, error) {
	if _, ok := claimsOf(strings.TrimSpace(f.identityToken)); ok || f.identityToken == "" {
		return f.identityToken, nil
	}
	const expected = "--identity-token: expected a JSON web token or the name of a file with one, found "
	file, err := os.Open(f.identityToken)
	if err != nil {
		// Neither the error's name nor the value's: it may be most of a token.
		return "", usageError("", expected+"neither")
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTokenBytes))
	if err != nil {
		return "", usageError("", expected+"a file that cannot be read")
	}
	if _, ok := claimsOf(strings.TrimSpace(string(text))); !ok {
		return "", usageError("", expected+"a file with something else")
	}
	return string(text), nil
}

// ambientToken asks the CI provider for a token.
func ambientToken(ctx context.Context) (string, error) {
	if !providers.Enabled(ctx) {
		return "", usageError("--cosign-key cosign.key (assay keys generate makes one), or --identity-token TOKEN",
			"expected a key, or an identity token to sign without one, found neither: in GitHub Actions, the job needs the permission id-token: write; in GitLab CI, id_tokens with SIGSTORE_ID_TOKEN and the audience %s", tokenAudience)
	}
	token, err := await(ctx, func() (string, error) { return providers.Provide(ctx, tokenAudience) })
	if err != nil {
		return "", fmt.Errorf("asking the CI provider for an identity token: %w", err)
	}
	return token, nil
}

// claims are those of a token that are looked at here. Nobody has verified them.
type claims struct {
	Expiry float64 `json:"exp"`
}

// claimsOf reads a token of three parts (RFC 7519, section 3.1).
func claimsOf(token string) (c claims, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, false
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	return c, err == nil && json.Unmarshal(body, &c) == nil
}

// consent states what is recorded for good, and asks on a terminal. Where there
// is none, --yes must say it: nobody consents by being asked where they are not.
func (f *signingFlags) consent(ctx context.Context, t *terminal, s signing.Services) error {
	var recorders []string
	for _, l := range s.Logs {
		recorders = append(recorders, l.URL)
	}
	if s.Fulcio != "" { // Certificates are in a public log of their own.
		recorders = append(recorders, s.Fulcio)
	}
	if len(recorders) == 0 {
		return nil
	}
	const question = "Sign, and have it recorded?"
	if arePublic(recorders) {
		t.say("%s\n%s", strings.TrimRight(privacy.Statement, "\n"), privacy.StatementConfirmation)
	} else {
		t.say("What is signed is recorded for good by %s: the digest, the signature, and the public key or the certificate, whose identity may be an e-mail address. None of it can be taken back.", strings.Join(recorders, " and "))
	}
	switch {
	case f.yes:
		return nil
	case !t.canAsk:
		return usageError("--yes, or --cosign-key with --tlog-upload=false", "--yes: expected it to be agreed that what is signed is recorded for good, found no terminal to ask on")
	default:
		return t.confirm(ctx, question)
	}
}

// arePublic reports whether one of the services is of the public instance, whose
// terms then hold.
func arePublic(urls []string) bool {
	for _, text := range urls {
		if u, err := url.Parse(text); err == nil && (u.Hostname() == "sigstore.dev" || strings.HasSuffix(u.Hostname(), ".sigstore.dev")) {
			return true
		}
	}
	return false
}
