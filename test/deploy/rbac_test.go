package deploy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/controllers"
)

// rights are what somebody may do, or did: "<where>: <verb> <resource>", where
// is "everywhere" or the controller's own namespace.
type rights map[string]bool

const everywhere = "everywhere"

func right(where, verb, group, resource string) string {
	if group != "" {
		resource += "." + group
	}
	return where + ": " + verb + " " + resource
}

// add adds what a rule allows.
func (r rights) add(where string, rule rbacv1.PolicyRule) {
	for _, verb := range rule.Verbs {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range rule.ResourceNames {
					r[right(where, verb, group, resource)+" "+name] = true
				}
				if len(rule.ResourceNames) == 0 {
					r[right(where, verb, group, resource)] = true
				}
			}
		}
	}
}

// inRoles are the rights that the roles in config/rbac give.
func inRoles() (rights, error) {
	var everyNamespace rbacv1.ClusterRole
	var own rbacv1.Role
	if err := installed.find("ClusterRole", name, &everyNamespace); err != nil {
		return nil, err
	}
	if err := installed.find("Role", name, &own); err != nil {
		return nil, err
	}
	if own.Namespace != namespace {
		return nil, fmt.Errorf("expected the Role in %s, found it in %s", namespace, own.Namespace)
	}
	r := rights{}
	for _, rule := range everyNamespace.Rules {
		r.add(everywhere, rule)
	}
	for _, rule := range own.Rules {
		r.add(namespace, rule)
	}
	return r, nil
}

// granted are the rights that the API server gives the controller's
// ServiceAccount, beyond those that it gives everyone. One namespace stands
// for every other.
func granted(t *testing.T, nobody, account client.Client, in, other string) rights {
	t.Helper()
	elsewhere := rulesIn(t, account, other, everywhere)
	own := rulesIn(t, account, in, everywhere)
	for r := range rulesIn(t, nobody, other, everywhere) {
		delete(elsewhere, r)
		delete(own, r)
	}
	all := maps.Clone(elsewhere)
	for r := range own {
		if !elsewhere[r] {
			all[strings.Replace(r, everywhere, in, 1)] = true
		}
	}
	return all
}

// rulesIn asks what an account may do in a namespace.
func rulesIn(t *testing.T, account client.Client, in, where string) rights {
	t.Helper()
	review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: in}}
	if err := account.Create(background, review); err != nil {
		t.Fatal(err)
	}
	if review.Status.Incomplete || review.Status.EvaluationError != "" {
		t.Fatalf("the API server cannot tell what an account may do: %+v", review.Status)
	}
	r := rights{}
	for _, rule := range review.Status.ResourceRules {
		r.add(where, rbacv1.PolicyRule{Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames})
	}
	return r
}

func accountClient(t *testing.T, namespace, name string) client.Client {
	t.Helper()
	c, err := client.New(serviceAccountConfig(t, namespace, name), client.Options{Scheme: controllers.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// awaitRights waits until the API server gives the ServiceAccount exactly what
// the roles say: it looks at new roles and bindings only after a moment.
func awaitRights(t *testing.T) {
	t.Helper()
	want, err := inRoles()
	if err != nil {
		t.Fatal(err)
	}
	awaitRightsIn(t, namespace, want)
}

// awaitRightsIn waits for those of an account in another namespace, which stands
// for the controller's own.
func awaitRightsIn(t *testing.T, in string, want rights) {
	t.Helper()
	other := newNamespace(t)
	create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: other, Name: "nobody"}})
	nobody, account := accountClient(t, other, "nobody"), accountClient(t, in, name)
	await(t, "the ServiceAccount has the rights of its roles and no others", func() error {
		if diff := cmp.Diff(want, granted(t, nobody, account, in, other)); diff != "" {
			return fmt.Errorf("(-roles +granted):\n%s", diff)
		}
		return nil
	})
}

func TestServiceAccountHasTheRightsOfItsRoles(t *testing.T) { awaitRights(t) }

// TestServiceAccountMayNot spells out what follows from the test above, so
// that a role with more in it needs a second thought.
func TestServiceAccountMayNot(t *testing.T) {
	awaitRights(t)
	account, other := accountClient(t, namespace, name), newNamespace(t)
	for what, attributes := range map[string][]authorizationv1.ResourceAttributes{
		"change Secrets and ConfigMaps":         verbs("create update patch delete deletecollection", "", "secrets", "configmaps"),
		"change what a ModuleSource asks for":   verbs("create update patch delete deletecollection", "source.assay.dev", "modulesources"),
		"replace a status that it has not read": verbs("update", "source.assay.dev", "modulesources/status"),
		"run anything": slices.Concat(verbs("create update patch", "", "pods", "pods/exec", "pods/ephemeralcontainers"),
			verbs("create update patch", "apps", "deployments", "daemonsets"), verbs("create", "batch", "jobs")),
		"become somebody else": slices.Concat(verbs("impersonate", "", "users", "groups", "serviceaccounts"), verbs("create", "", "serviceaccounts/token"),
			verbs("create", "certificates.k8s.io", "certificatesigningrequests")),
		"change roles": verbs("create update patch bind escalate", "rbac.authorization.k8s.io", "roles", "clusterroles", "rolebindings", "clusterrolebindings"),
		"change the API": slices.Concat(verbs("create update patch delete", "apiextensions.k8s.io", "customresourcedefinitions"),
			verbs("create update patch", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "mutatingwebhookconfigurations")),
		"read and remove events": verbs("get list watch delete deletecollection", "events.k8s.io", "events"),
		"hold Leases of others":  verbs("create update patch delete", "coordination.k8s.io", "leases"),
		"do anything":            verbs("*", "*", "*"),
	} {
		for _, a := range attributes {
			a.Namespace = other
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &a}}
			if err := account.Create(background, review); err != nil {
				t.Fatal(err)
			}
			if review.Status.Allowed {
				t.Errorf("%s: expected no right to %s %s, found %s", what, a.Verb, a.Resource, review.Status.Reason)
			}
		}
	}
}

// verbs are requests: each verb with each resource of a group.
func verbs(verbs, group string, resources ...string) []authorizationv1.ResourceAttributes {
	var list []authorizationv1.ResourceAttributes
	for _, verb := range strings.Fields(verbs) {
		for _, resource := range resources {
			resource, subresource, _ := strings.Cut(resource, "/")
			list = append(list, authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Subresource: subresource})
		}
	}
	return list
}

// auditEvent is a line of the API server's audit log.
// https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
type auditEvent struct {
	Verb, UserAgent, RequestURI string
	ObjectRef                   *struct{ Resource, Subresource, APIGroup, Namespace string }
	Annotations                 map[string]string
}

// used are the rights that the controller made use of so far. What it asked
// for and was refused is an error.
func used(t *testing.T) rights {
	t.Helper()
	file, err := os.Open(auditLog)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := rights{}
	for lines := json.NewDecoder(bufio.NewReader(file)); lines.More(); {
		var e auditEvent
		if err := lines.Decode(&e); err != nil {
			t.Fatal(err)
		}
		// Tests ask as the ServiceAccount too; and discovery, which is about
		// no object, is everyone's.
		if !strings.HasPrefix(e.UserAgent, "assay-controller/") || e.ObjectRef == nil {
			continue
		}
		decision, reason := e.Annotations["authorization.k8s.io/decision"], e.Annotations["authorization.k8s.io/reason"]
		if decision != "allow" || !strings.HasPrefix(reason, "RBAC: allowed by ") {
			t.Errorf("expected the controller to be allowed to %s %s by a role, found %s, %s", e.Verb, e.RequestURI, decision, reason)
		}
		where, resource := everywhere, e.ObjectRef.Resource
		if e.ObjectRef.Namespace == namespace {
			where = namespace
		}
		if e.ObjectRef.Subresource != "" {
			resource += "/" + e.ObjectRef.Subresource
		}
		r[right(where, e.Verb, e.ObjectRef.APIGroup, resource)] = true
	}
	return r
}

// wantGrantedIsUsed compares the roles with what the controller did: a right
// that is missing, and one that nothing needs, both show.
func wantGrantedIsUsed(t *testing.T) {
	t.Helper()
	roles, err := inRoles()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(used(t), roles); diff != "" {
		t.Errorf("the roles are not what the controller uses (-used +granted):\n%s", diff)
	}
}

func TestRolesForPeople(t *testing.T) {
	const sources, status = "modulesources", "modulesources/status"
	read := verbs("get list watch", "source.assay.dev", sources)
	write := verbs("create update patch delete deletecollection", "source.assay.dev", sources)
	report := verbs("update patch", "source.assay.dev", status)
	in := newNamespace(t)
	for role, tc := range map[string]struct {
		joins       []string // the cluster's own roles that it becomes part of
		may, mayNot []authorizationv1.ResourceAttributes
	}{
		"assay-modulesource-viewer": {[]string{"view"}, read, slices.Concat(write, report)},
		"assay-modulesource-editor": {[]string{"admin", "edit"}, slices.Concat(read, write), report},
	} {
		t.Run(role, func(t *testing.T) {
			var installedRole rbacv1.ClusterRole
			if err := installed.find("ClusterRole", role, &installedRole); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.joins, aggregatedInto(t, installedRole.Labels)); diff != "" {
				t.Errorf("the role becomes part of others (-want +found):\n%s", diff)
			}
			create(t, &rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Namespace: in, Name: role},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
				Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: role}},
			})
			for _, a := range tc.may {
				await(t, "the role allows to "+a.Verb, func() error {
					if !mayIn(t, role, in, a) {
						return fmt.Errorf("no right to %s %s", a.Verb, a.Resource)
					}
					return nil
				})
			}
			for _, a := range slices.Concat(tc.mayNot, verbs("get list", "", "secrets")) {
				if mayIn(t, role, in, a) {
					t.Errorf("expected no right to %s %s/%s", a.Verb, a.Resource, a.Subresource)
				}
			}
		})
	}
}

// mayIn asks whether a user may do something in a namespace.
func mayIn(t *testing.T, user, in string, a authorizationv1.ResourceAttributes) bool {
	t.Helper()
	a.Namespace = in
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &a}}
	if err := kube.Create(background, review); err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

// aggregatedInto are the cluster's own roles for people that a role with these
// labels becomes part of. The controller manager, which is not here, copies
// the rules.
func aggregatedInto(t *testing.T, roleLabels map[string]string) []string {
	t.Helper()
	var joined []string
	for _, name := range []string{"admin", "edit", "view"} {
		role := &rbacv1.ClusterRole{}
		if err := kube.Get(background, client.ObjectKey{Name: name}, role); err != nil {
			t.Fatal(err)
		}
		for _, s := range role.AggregationRule.ClusterRoleSelectors {
			selector, err := metav1.LabelSelectorAsSelector(&s)
			if err != nil {
				t.Fatal(err)
			}
			if selector.Matches(labels.Set(roleLabels)) {
				joined = append(joined, name)
			}
		}
	}
	return joined
}
