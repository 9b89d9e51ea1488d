package deploy

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/signing"
)

// neededFor names the first step that cannot be taken without a right.
var neededFor = map[string]string{
	everywhere + ": list modulesources.source.assay.dev":         "it holds the Lease",
	everywhere + ": list secrets":                                "it is ready",
	everywhere + ": list configmaps":                             "it is ready",
	namespace + ": get leases.coordination.k8s.io":               "it holds the Lease",
	namespace + ": create leases.coordination.k8s.io":            "it holds the Lease",
	namespace + ": update leases.coordination.k8s.io":            "it keeps the Lease",
	namespace + ": create events":                                "an event says who leads",
	everywhere + ": watch modulesources.source.assay.dev":        "a source by a Secret is verified",
	everywhere + ": get secrets":                                 "a source by a Secret is verified",
	everywhere + ": patch modulesources/status.source.assay.dev": "a source by a Secret is verified",
	everywhere + ": get configmaps":                              "a source by a ConfigMap is verified",
	everywhere + ": create events.events.k8s.io":                 "an event says that it is",
	everywhere + ": watch secrets":                               "a Secret that changes is acted on",
	everywhere + ": watch configmaps":                            "a ConfigMap that changes is acted on",
	everywhere + ": get modulesources.source.assay.dev":          "a status is written through a conflict",
}

// TestEachRightIsNeeded takes away one right at a time, and expects the step
// that needs it to fail, where an operator sees it: the controller's log or the
// ModuleSource's status says which right is missing, or it ends.
func TestEachRightIsNeeded(t *testing.T) {
	roles, err := inRoles()
	if err != nil {
		t.Fatal(err)
	}
	for r := range neededFor {
		if !roles[r] {
			t.Errorf("%q is no right of the roles", r)
		}
	}
	t.Run("none is taken", func(t *testing.T) {
		t.Parallel()
		if step, err := newTrial(t, roles, "").run(); err != nil {
			t.Errorf("%s: %v", step, err)
		}
	})
	for taken := range roles {
		t.Run(taken, func(t *testing.T) {
			t.Parallel()
			want, known := neededFor[taken]
			if !known {
				t.Fatal("expected to be told what this right is for")
			}
			trial := newTrial(t, roles, taken)
			step, err := trial.run()
			if err == nil {
				t.Fatal("expected something to fail without it, found that nothing did")
			}
			if step != want {
				t.Errorf("expected to fail at %q, found %q: %v", want, step, err)
			}
			t.Logf("%s: %v", step, err)
		})
	}
}

// trial is a controller of its own, for a tenant of its own, which shares the
// API server with others. It has all rights of the roles but one.
type trial struct {
	*controller
	t    *testing.T
	w    *tenant
	keys [2]*signing.Key
	must rights // what the step at hand needs: without where
}

const trialLabel = "trial"

func newTrial(t *testing.T, roles rights, taken string) *trial {
	t.Helper()
	w := newTenant(t)
	in := newNamespace(t)
	w.labels = map[string]string{trialLabel: in}
	grant(t, in, roles, taken)
	return startTrial(t, w, home{namespace: in, manifests: installed, args: []string{"--watch-label-selector=" + trialLabel + "=" + in}})
}

// startTrial starts the controller. It lists before it watches, as with an API
// server that has no streaming lists.
func startTrial(t *testing.T, w *tenant, of home) *trial {
	t.Helper()
	return &trial{controller: launch(t, of, "KUBE_FEATURE_WatchListClient=false"), t: t, w: w, keys: [2]*signing.Key{newKey(t), newKey(t)}}
}

// grant gives a ServiceAccount in a namespace the rights of the roles but one,
// and waits until it has them: in the controller's own namespace where it had
// them there.
func grant(t *testing.T, in string, roles rights, taken string) {
	t.Helper()
	want := rights{}
	var all, ownRules []rbacv1.PolicyRule
	for r := range roles {
		if r == taken {
			continue
		}
		where, rule := ruleOf(r)
		if where == everywhere {
			all = append(all, rule)
		} else {
			ownRules = append(ownRules, rule)
		}
		want[strings.Replace(r, namespace+": ", in+": ", 1)] = true
	}
	meta := metav1.ObjectMeta{Namespace: in, Name: name}
	wide := metav1.ObjectMeta{Name: "trial-" + in}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: in, Name: name}}
	create(t, &corev1.ServiceAccount{ObjectMeta: meta})
	create(t, &rbacv1.Role{ObjectMeta: meta, Rules: ownRules})
	create(t, &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}})
	create(t, &rbacv1.ClusterRole{ObjectMeta: wide, Rules: all})
	create(t, &rbacv1.ClusterRoleBinding{ObjectMeta: wide, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: wide.Name}})
	awaitRightsIn(t, in, want)
}

// ruleOf is the rule that gives a right, and where.
func ruleOf(r string) (where string, rule rbacv1.PolicyRule) {
	where, what, _ := strings.Cut(r, ": ")
	verb, of, _ := strings.Cut(what, " ")
	resource, group, _ := strings.Cut(of, ".")
	return where, rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}}
}

// run takes the steps until one fails, and returns that.
func (c *trial) run() (failed string, err error) {
	defer func() { _ = c.process.Process.Kill() }() // An error where it has ended.
	for _, step := range []struct {
		name string
		take func() error
	}{
		{"it holds the Lease", c.holdsTheLease},
		{"it keeps the Lease", c.keepsTheLease},
		{"an event says who leads", c.saysWhoLeads},
		// By now it looks at everything that it watches.
		{"it is ready", func() error { return c.until(c.ready) }},
		{"a source by a Secret is verified", c.verifiesBySecret},
		{"a source by a ConfigMap is verified", c.verifiesByConfigMap},
		{"an event says that it is", c.saysThatItIsVerified},
		{"a Secret that changes is acted on", c.actsOnASecret},
		{"a ConfigMap that changes is acted on", c.actsOnAConfigMap},
		{"a status is written through a conflict", c.writesThroughAConflict},
		{"the Lease is given up", c.givesUpTheLease},
		{"nothing was refused", func() error { return c.refused(nil) }},
	} {
		c.must = rights{}
		for r, needing := range neededFor {
			if _, what, _ := strings.Cut(r, ": "); needing == step.name {
				c.must[what] = true
			}
		}
		if err := step.take(); err != nil {
			return step.name, err
		}
	}
	return "", nil
}

// refusal is what the API server answers without a right, in the controller's
// log.
var refusal = regexp.MustCompile(`cannot (\w+) resource "([\w./]+)" in API group "([\w.]*)"`)

// refused is an error if the controller was refused one of these rights; nil is
// all.
func (c *trial) refused(those rights) error {
	for _, m := range refusal.FindAllStringSubmatch(strings.ReplaceAll(c.log.String(), `\`, ""), -1) {
		if _, what, _ := strings.Cut(right("", m[1], m[3], m[2]), ": "); those == nil || those[what] {
			return fmt.Errorf("the log says: %s", m[0])
		}
	}
	return nil
}

// hopeless is an error that no waiting mends.
type hopeless struct{ error }

// until waits until a condition holds, and is an error if the controller was
// refused what the step needs: what cannot be watched is listed again and again,
// so that the condition may hold all the same, late.
func (c *trial) until(ask func() error) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := ask()
		if refused := c.refused(c.must); refused != nil {
			return refused
		}
		select {
		case <-c.ended:
			return fmt.Errorf("the controller ended: %w", errors.Join(c.problem, err))
		default:
		}
		if err == nil || errors.As(err, new(hopeless)) || time.Now().After(deadline) {
			return err
		}
	}
}

func (c *trial) lease() (*coordinationv1.Lease, error) {
	lease := &coordinationv1.Lease{}
	err := kube.Get(background, client.ObjectKey{Namespace: c.namespace, Name: name}, lease)
	return lease, err
}

func (c *trial) holdsTheLease() error {
	return c.until(func() error {
		lease, err := c.lease()
		if err == nil && ptr.Deref(lease.Spec.HolderIdentity, "") == "" {
			err = errors.New("nobody holds the Lease")
		}
		return err
	})
}

func (c *trial) keepsTheLease() error {
	before, err := c.lease()
	if err != nil {
		return err
	}
	return c.until(func() error {
		lease, err := c.lease()
		if err == nil && lease.Spec.RenewTime.Equal(before.Spec.RenewTime) {
			err = fmt.Errorf("the Lease was renewed last at %s", before.Spec.RenewTime)
		}
		return err
	})
}

func (c *trial) saysWhoLeads() error {
	return c.until(func() error {
		var list corev1.EventList
		if err := kube.List(background, &list, client.InNamespace(c.namespace)); err != nil {
			return err
		}
		if !slices.ContainsFunc(list.Items, func(e corev1.Event) bool { return e.InvolvedObject.Kind == "Lease" }) {
			return fmt.Errorf("the events are %+v", list.Items)
		}
		return nil
	})
}

func (c *trial) verifiesBySecret() error {
	c.w.signed(c.t, "app", "1.0.0", c.keys[0])
	create(c.t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.w.namespace, Name: "keys"}, Data: map[string][]byte{"cosign.pub": c.keys[0].PublicPEM()},
	})
	create(c.t, c.w.source("secret", "app", v1alpha1.KeyAuthority{SecretRef: &v1alpha1.LocalObjectReference{Name: "keys"}}))
	return c.untilVerified("secret", "True/SignatureVerified")
}

func (c *trial) verifiesByConfigMap() error {
	create(c.t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.w.namespace, Name: "keys"}, Data: map[string]string{"cosign.pub": string(c.keys[0].PublicPEM())},
	})
	create(c.t, c.w.source("configmap", "app", v1alpha1.KeyAuthority{ConfigMapRef: &v1alpha1.LocalObjectReference{Name: "keys"}}))
	return c.untilVerified("configmap", "True/SignatureVerified")
}

// untilVerified waits for a verdict. A status that says that something may not
// be read is final here.
func (c *trial) untilVerified(source, want string) error {
	return c.until(func() error {
		obj, err := c.w.get(source)
		if err != nil {
			return err
		}
		found := apimeta.FindStatusCondition(obj.Status.Conditions, v1alpha1.ConditionVerified)
		switch {
		case found == nil:
			return errors.New("it has no condition Verified")
		case strings.Contains(found.Message, "the controller may not read it"):
			return hopeless{fmt.Errorf("the status says %s: %s", found.Reason, found.Message)}
		case string(found.Status)+"/"+found.Reason != want:
			return fmt.Errorf("expected Verified=%s, found %+v", want, found)
		}
		return nil
	})
}

func (c *trial) saysThatItIsVerified() error {
	return c.until(func() error {
		var list eventsv1.EventList
		if err := kube.List(background, &list, client.InNamespace(c.w.namespace)); err != nil {
			return err
		}
		if !slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool { return e.Reason == v1alpha1.ReasonSignatureVerified }) {
			return fmt.Errorf("the events are %+v", list.Items)
		}
		return nil
	})
}

// The next poll is an hour away.
func (c *trial) actsOnASecret() error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.w.namespace, Name: "keys"}, Data: map[string][]byte{"cosign.pub": c.keys[1].PublicPEM()}}
	if err := kube.Update(background, secret); err != nil {
		return err
	}
	return c.untilVerified("secret", "False/KeyMismatch")
}

func (c *trial) actsOnAConfigMap() error {
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: c.w.namespace, Name: "keys"}, Data: map[string]string{"cosign.pub": string(c.keys[1].PublicPEM())}}
	if err := kube.Update(background, configMap); err != nil {
		return err
	}
	return c.untilVerified("configmap", "False/KeyMismatch")
}

// writesThroughAConflict changes an object while the controller is at work on
// it.
func (c *trial) writesThroughAConflict() error {
	const token = "now"
	var reached atomic.Bool
	goOn := make(chan struct{})
	c.w.registry.Intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		reached.Store(true)
		<-goOn
		next.ServeHTTP(rw, r)
	})
	c.w.poll(c.t, "secret", token)
	err := c.until(func() error {
		if !reached.Load() {
			return errors.New("the registry was not asked")
		}
		return nil
	})
	c.w.patch(c.t, "secret", func(obj *v1alpha1.ModuleSource) { metav1.SetMetaDataAnnotation(&obj.ObjectMeta, "edited", "meanwhile") })
	c.w.registry.Intercept(nil)
	close(goOn)
	if err != nil {
		return err
	}
	return c.until(func() error {
		obj, err := c.w.get("secret")
		if err == nil && obj.Status.LastHandledReconcileAt != token {
			err = fmt.Errorf("lastHandledReconcileAt is %q", obj.Status.LastHandledReconcileAt)
		}
		return err
	})
}

func (c *trial) givesUpTheLease() error {
	c.end(c.t)
	lease, err := c.lease()
	if holder := ptr.Deref(lease.Spec.HolderIdentity, ""); err == nil && holder != "" {
		err = fmt.Errorf("the Lease is held by %q", holder)
	}
	return err
}
