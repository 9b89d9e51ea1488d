package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers/evidence"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/trust"
	"github.com/assay-dev/assay/internal/verify"
)

func newVerifyCommand(t *terminal) *cobra.Command {
	var (
		remote *registryFlags
		wanted *targetFlags
		policy *policyFlags
		output *outputFlag
		files  *filesFlags
	)
	c := &cobra.Command{
		Use:   "verify (oci://REPOSITORY | -f FILE|DIR|-)",
		Short: "Verify the signatures of a module, or of all that manifests name",
		Long: `verify resolves a version once, collects all signatures of that digest, in both of
Cosign's formats, and judges them as the controller does.

With -f it does so for every ModuleSource in manifests, which is the check of a
pull request: what is written is validated as the API server would, strictly, and
what it names is taken from the same manifests, --secret and --configmap, or a
cluster (--kubeconfig). Where spec.secretRef cannot be read, your own Docker
configuration is taken.

It exits with 0 when the module is verified, 1 when it is refused, 2 when it could
not be judged, and 3 when the command line makes no sense.`,
		Example: `  assay verify oci://ghcr.io/my-org/modules/app --version 1.0.0 --cosign-key cosign.pub
  assay verify oci://ghcr.io/stefanprodan/modules/podinfo \
    --certificate-identity-regexp 'https://github\.com/stefanprodan/podinfo/.*' \
    --certificate-oidc-issuer https://token.actions.githubusercontent.com
  assay verify -f ./deploy --secret release-key=cosign.pub
  kustomize build ./overlays/production | assay verify -f - -o github`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := output.check(); err != nil {
				return err
			}
			ctx, cancel, err := remote.deadline(c.Context())
			if err != nil {
				return err
			}
			defer cancel()
			if ofFiles, err := files.wanted(c.Flags(), args); err != nil {
				return err
			} else if ofFiles {
				return verifyFiles(ctx, t, files)
			}
			if err := arguments("oci://REPOSITORY")(c, args); err != nil {
				return err
			}
			g, err := wanted.parse(remote, args[0])
			if err != nil {
				return err
			}
			return verifyOne(ctx, t, remote, policy, output, g)
		},
	}
	wanted = addTargetFlags(c.Flags())
	policy = addPolicyFlags(c.Flags())
	remote = addRegistryFlags(c.Flags())
	output = addOutputFlag(c.Flags(), append([]string{"json", "yaml"}, formatsOfFiles...)...)
	files = addFilesFlags(c.Flags(), remote, policy.roots, output)
	return c
}

// verdict is what verify prints: in the words of ModuleSource's status.
type verdict struct {
	Repository string `json:"repository"`
	// Revision is <version or tag>@<digest>, or <digest>; absent where nothing
	// was resolved.
	Revision string `json:"revision,omitempty"`
	Digest   string `json:"digest,omitempty"`
	// Verified is True, False for refused, or Unknown for not judged.
	Verified   metav1.ConditionStatus       `json:"verified"`
	Reason     string                       `json:"reason"`
	Message    string                       `json:"message,omitempty"`
	Signatures []v1alpha1.AcceptedSignature `json:"signatures,omitempty"`
	// Annotations are those of the signed manifest that OCI defines.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Note says what else the controller would find, beside the verdict.
	Note string `json:"note,omitempty"`
}

func verifyOne(ctx context.Context, t *terminal, remote *registryFlags, flags *policyFlags, output *outputFlag, g target) error {
	v, err := judge(ctx, t, remote, flags, g)
	if err != nil {
		return err
	}
	if err := t.print(output, v, func() error { return v.print(t) }); err != nil {
		return err
	}
	return v.exit()
}

// judge asks the registry, and gives the verdict; there is none for what was
// interrupted, or makes no sense.
func judge(ctx context.Context, t *terminal, remote *registryFlags, flags *policyFlags, g target) (verdict, error) {
	policy, err := flags.policy(ctx)
	var noRoot *trust.UnavailableError
	if errors.As(err, &noRoot) && ctx.Err() == nil {
		return withoutRoot(g, flags, noRoot), nil
	}
	if err != nil {
		return verdict{}, err
	}
	request, err := g.request(ctx, remote, policy)
	if err != nil {
		return verdict{}, err
	}
	pool := newPool(t)
	defer pool.Close()
	syncer := &source.Syncer{Pool: pool, Now: t.now}
	o, err := syncer.Check(ctx, request)
	if errors.Is(ctx.Err(), context.Canceled) {
		return verdict{}, ctx.Err()
	}
	return newVerdict(ctx, t, g.repository, o, err), nil
}

// withoutRoot is the verdict where there is no trusted root: nobody was asked.
func withoutRoot(g target, flags *policyFlags, err *trust.UnavailableError) verdict {
	v := verdict{
		Repository: g.repository.String(), Verified: metav1.ConditionUnknown, Reason: v1alpha1.ReasonTrustUnavailable,
		Message: err.Error() + ": --trusted-root FILE takes one from a file",
	}
	if len(flags.keys) > 0 {
		v.Message += "; a key needs none for what was signed with --tlog-upload=false: --insecure-ignore-tlog"
	}
	return v
}

// request is what to ask the registry for, as the controller would.
func (g target) request(ctx context.Context, remote *registryFlags, policy verify.Policy) (source.Request, error) {
	auth, err := remote.authConfig(ctx, g.repository)
	if err != nil {
		return source.Request{}, err
	}
	return source.Request{Repository: g.repository, Selector: g.selector, Credentials: registry.NewCredentials(auth), Policy: policy}, nil
}

// newVerdict words an outcome as the controller does.
func newVerdict(ctx context.Context, t *terminal, repository registry.Repository, o source.Outcome, err error) verdict {
	v := verdict{Repository: repository.String(), Digest: o.Revision.Digest}
	if v.Digest != "" {
		v.Revision = o.Revision.String()
	}
	var failed *source.Error
	if errors.As(err, &failed) {
		v.Reason, v.Message = failed.Reason, failed.Message
	} else if err != nil {
		v.Reason, v.Message = v1alpha1.ReasonRegistryUnavailable, err.Error()
	}
	v.Message = asFlags(v.Message)
	switch {
	case err == nil || (!o.Verified.IsZero() && failed != nil && failed.Kind == source.Unpublishable):
		v.Verified, v.Note = metav1.ConditionTrue, ""
		if err != nil {
			v.Note = "the controller would verify it, and not publish it: " + v.Reason + ": " + v.Message
		}
		accepted := evidence.Of(o.Verified, metav1.NewTime(t.now()))
		v.Reason, v.Message = v1alpha1.ReasonSignatureVerified, evidence.Short(accepted)
		v.Signatures, v.Annotations = accepted.Signatures, o.Annotations
	case failed != nil && failed.Kind == source.Refused:
		v.Verified = metav1.ConditionFalse
	default:
		v.Verified = metav1.ConditionUnknown
		if cause := context.Cause(ctx); ctx.Err() != nil {
			v.Message += ": " + cause.Error()
		}
	}
	return v
}

// asFlags names a flag where a message for ModuleSources names its field.
func asFlags(message string) string {
	return strings.NewReplacer("write insecure: true", "add --insecure", "insecure: true means", "--insecure means", "spec.timeout", "--timeout").Replace(message)
}

// exit is what the process exits with for the verdict. What was printed is not
// said again.
func (v verdict) exit() error {
	switch v.Verified {
	case metav1.ConditionTrue:
		return nil
	case metav1.ConditionFalse:
		return refusedSilently()
	default:
		return failedSilently()
	}
}
