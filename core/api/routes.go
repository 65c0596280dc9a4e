package api

import (
	"slices"

	"cordon/core/api/desk"
	"cordon/core/api/fleet"
	"cordon/core/api/home"
	"cordon/core/api/people"
	"cordon/core/auth"
)

// routes is every route that there is. A test walks it as every role.
var routes = []desk.Route{
	{Method: "POST", Path: "/v1/session", ID: "logIn", Open: true, Secret: true, Text: "Log in with e-mail address and password", Add: desk.Do(people.LogIn)},
	{Method: "GET", Path: "/v1/session", ID: "getSession", Verb: auth.SelfView, On: desk.Network, Text: "Who is logged in, with which roles", Add: desk.Do(people.GetMe)},
	{Method: "DELETE", Path: "/v1/session", ID: "logOut", Open: true, Text: "Log out", Add: desk.Do(people.LogOut)},
	{Method: "POST", Path: "/v1/session/passkey", ID: "beginPasskeyLogIn", Open: true, Text: "Begin to log in with a passkey", Add: desk.Do(people.BeginLogIn)},
	{Method: "POST", Path: "/v1/session/passkey/finish", ID: "finishPasskeyLogIn", Open: true, Secret: true, Text: "Log in with what the passkey signed", Add: desk.Do(people.FinishLogIn)},
	{Method: "POST", Path: "/v1/session/invitation", ID: "acceptInvitation", Open: true, Secret: true, Text: "Choose a password with the token of an invitation, and log in", Add: desk.Do(people.Accept)},

	{Method: "GET", Path: "/v1/me", ID: "getMe", Verb: auth.SelfView, On: desk.Network, Text: "Who I am, with roles and open cases", Add: desk.Do(people.GetMe)},
	{Method: "PATCH", Path: "/v1/me", ID: "changeMe", Verb: auth.SelfChange, Text: "Change my name and language", Add: desk.Do(people.ChangeMe)},
	{Method: "PUT", Path: "/v1/me/password", ID: "changePassword", Verb: auth.SelfChange, Secret: true, Text: "Change my password; all other sessions end", Add: desk.Do(people.ChangePassword)},
	{Method: "GET", Path: "/v1/me/sessions", ID: "listSessions", Verb: auth.SelfView, Text: "My sessions", Add: desk.Do(people.MySessions)},
	{Method: "DELETE", Path: "/v1/me/sessions/{session}", ID: "endSession", Verb: auth.SelfChange, Text: "End one of my sessions", Add: desk.Do(people.EndSession)},
	{Method: "GET", Path: "/v1/me/passkeys", ID: "listPasskeys", Verb: auth.SelfView, Text: "My passkeys", Add: desk.Do(people.MyPasskeys)},
	{Method: "POST", Path: "/v1/me/passkeys", ID: "beginPasskey", Verb: auth.SelfChange, Text: "Begin to register a passkey", Add: desk.Do(people.BeginPasskey)},
	{Method: "POST", Path: "/v1/me/passkeys/finish", ID: "finishPasskey", Verb: auth.SelfChange, Status: 201, Text: "Register the passkey that the browser made", Add: desk.Do(people.FinishPasskey)},
	{Method: "DELETE", Path: "/v1/me/passkeys/{passkey}", ID: "removePasskey", Verb: auth.SelfChange, Text: "Remove one of my passkeys", Add: desk.Do(people.RemovePasskey)},
	{Method: "GET", Path: "/v1/me/tokens", ID: "listTokens", Verb: auth.SelfView, Text: "My tokens", Add: desk.Do(people.MyTokens)},
	{Method: "POST", Path: "/v1/me/tokens", ID: "makeToken", Verb: auth.SelfToken, Status: 201, Secret: true, Text: "Make a token for a program", Add: desk.Do(people.MakeToken)},
	{Method: "DELETE", Path: "/v1/me/tokens/{token}", ID: "endToken", Verb: auth.SelfToken, Text: "End one of my tokens", Add: desk.Do(people.EndToken)},

	{Method: "GET", Path: "/v1/accounts", ID: "listAccounts", Verb: auth.AccountView, On: desk.Network, List: true, Text: "Accounts", Add: desk.Do(fleet.ListAccounts)},
	{Method: "POST", Path: "/v1/accounts", ID: "createAccount", Verb: auth.AccountCreate, On: desk.Network, Status: 201, Text: "Add an account", Add: desk.Do(fleet.CreateAccount)},
	{Method: "GET", Path: "/v1/accounts/{account}", ID: "getAccount", Verb: auth.AccountView, On: desk.OnAccount, Text: "An account", Add: desk.Do(fleet.GetAccount)},
	{Method: "PATCH", Path: "/v1/accounts/{account}", ID: "changeAccount", Verb: auth.AccountChange, On: desk.OnAccount, Text: "Change an account; needs If-Match", Add: desk.Do(fleet.ChangeAccount)},
	{Method: "PUT", Path: "/v1/accounts/{account}/policy", ID: "setAccountPolicy", Verb: auth.AccountPolicy, On: desk.OnAccount, Text: "Say how far routers may go at sites of the account without a policy of their own", Add: desk.Do(fleet.SetAccountPolicy)},
	{Method: "DELETE", Path: "/v1/accounts/{account}", ID: "eraseAccount", Verb: auth.AccountErase, On: desk.OnAccount, Text: "Erase an account with everything of it; needs If-Match", Add: desk.Do(fleet.EraseAccount)},
	{Method: "POST", Path: "/v1/accounts/{account}/sites", ID: "createSite", Verb: auth.SiteCreate, On: desk.OnAccount, Status: 201, Text: "Add a site", Add: desk.Do(fleet.CreateSite)},
	{Method: "GET", Path: "/v1/accounts/{account}/webhooks", ID: "listWebhooks", Verb: auth.WebhookView, On: desk.OnAccount, Text: "Where the account's programs are told", Add: desk.Do(fleet.ListWebhooks)},
	{Method: "POST", Path: "/v1/accounts/{account}/webhooks", ID: "createWebhook", Verb: auth.WebhookChange, On: desk.OnAccount, Status: 201, Secret: true, Text: "Add a webhook", Add: desk.Do(fleet.CreateWebhook)},
	{Method: "GET", Path: "/v1/accounts/{account}/webhooks/{webhook}", ID: "getWebhook", Verb: auth.WebhookView, On: desk.OnWebhook, Text: "A webhook", Add: desk.Do(fleet.GetWebhook)},
	{Method: "PATCH", Path: "/v1/accounts/{account}/webhooks/{webhook}", ID: "changeWebhook", Verb: auth.WebhookChange, On: desk.OnWebhook, Text: "Change a webhook; needs If-Match", Add: desk.Do(fleet.ChangeWebhook)},
	{Method: "DELETE", Path: "/v1/accounts/{account}/webhooks/{webhook}", ID: "deleteWebhook", Verb: auth.WebhookChange, On: desk.OnWebhook, Text: "Remove a webhook", Add: desk.Do(fleet.DeleteWebhook)},

	{Method: "GET", Path: "/v1/sites", ID: "listSites", Verb: auth.SiteView, On: desk.Network, List: true, Text: "Sites", Add: desk.Do(fleet.ListSites)},
	{Method: "GET", Path: "/v1/sites/{site}", ID: "getSite", Verb: auth.SiteView, On: desk.OnSite, Text: "A site", Add: desk.Do(fleet.GetSite)},
	{Method: "PATCH", Path: "/v1/sites/{site}", ID: "changeSite", Verb: auth.SiteChange, On: desk.OnSite, Text: "Change a site; needs If-Match. Number, area and group are the provider's to change", Add: desk.Do(fleet.ChangeSite)},
	{Method: "PUT", Path: "/v1/sites/{site}/policy", ID: "setSitePolicy", Verb: auth.SitePolicy, On: desk.OnSite, Text: "Say how far the router may go", Add: desk.Do(fleet.SetSitePolicy)},
	{Method: "GET", Path: "/v1/sites/{site}/overview", ID: "getOverview", Verb: auth.SiteView, On: desk.OnSite, Looks: true, Text: "How the home is, in one word and one sentence", Add: desk.Do(home.Overview)},
	{Method: "POST", Path: "/v1/sites/{site}/hand-over", ID: "handOver", Verb: auth.SiteHandOver, On: desk.OnSite, Text: "End the installer's work at the site", Add: desk.Do(fleet.HandOver)},
	{Method: "POST", Path: "/v1/sites/{site}/case", ID: "openCase", Verb: auth.CaseOpen, On: desk.OnSite, Status: 201, Text: "Open a case: see the home by name for twelve hours, with a reason", Add: desk.Do(fleet.OpenCase)},
	{Method: "DELETE", Path: "/v1/sites/{site}/case", ID: "closeCase", Verb: auth.CaseOpen, On: desk.OnSite, Text: "Close my case before its time", Add: desk.Do(fleet.CloseCase)},
	{Method: "GET", Path: "/v1/sites/{site}/desired", ID: "getDesired", Verb: auth.SiteDesired, On: desk.OnSite, Looks: true, Text: "What the router should do, and what it does", Add: desk.Do(home.GetDesired)},
	{Method: "GET", Path: "/v1/sites/{site}/ledger", ID: "askLedger", Verb: auth.DeviceAsk, On: desk.OnSite, Looks: true, Text: "Ask the router what left the home. Nothing of the answer is kept", Add: desk.Do(home.AskLedger)},

	{Method: "GET", Path: "/v1/sites/{site}/devices/{device}", ID: "getDevice", Verb: auth.DeviceView, On: desk.OnDevice, Looks: true, Text: "A device", Add: desk.Do(home.GetDevice)},
	{Method: "PATCH", Path: "/v1/sites/{site}/devices/{device}", ID: "changeDevice", Verb: auth.DeviceChange, On: desk.OnDevice, Looks: true, Text: "Say what a device is, is called, and how far the router may go with it", Add: desk.Do(home.ChangeDevice)},
	{Method: "GET", Path: "/v1/sites/{site}/devices/{device}/destinations", ID: "askDestinations", Verb: auth.DeviceAsk, On: desk.OnDevice, Looks: true, Text: "Ask the router where the device goes. Nothing of the answer is kept", Add: desk.Do(home.AskDestinations)},
	{Method: "POST", Path: "/v1/sites/{site}/devices/{device}/quarantine", ID: "quarantine", Verb: auth.DeviceRestrict, On: desk.OnDevice, Looks: true, Text: "Cut the device off, except for what it needs to be mended", Add: desk.Do(home.Quarantine)},
	{Method: "POST", Path: "/v1/sites/{site}/devices/{device}/block", ID: "block", Verb: auth.DeviceRestrict, On: desk.OnDevice, Looks: true, Text: "Drop a part of the device's traffic", Add: desk.Do(home.Block)},
	{Method: "POST", Path: "/v1/sites/{site}/devices/{device}/limit", ID: "limit", Verb: auth.DeviceRestrict, On: desk.OnDevice, Looks: true, Text: "Slow a part of the device's traffic down", Add: desk.Do(home.Limit)},
	{Method: "POST", Path: "/v1/sites/{site}/devices/{device}/allow", ID: "allow", Verb: auth.DeviceRelease, On: desk.OnDevice, Looks: true, Text: "Allow the device a place, whatever central verdicts say", Add: desk.Do(home.Allow)},
	{Method: "POST", Path: "/v1/sites/{site}/devices/{device}/release", ID: "release", Verb: auth.DeviceRelease, On: desk.OnDevice, Looks: true, Text: "End everything that is in force against the device", Add: desk.Do(home.Release)},
	{Method: "POST", Path: "/v1/sites/{site}/devices/{device}/undo/{action}", ID: "undo", Verb: auth.DeviceRelease, On: desk.OnDevice, Looks: true, Text: "End one order, permission or action of the router's by its id", Add: desk.Do(home.Undo)},

	{Method: "GET", Path: "/v1/sites/{site}/incidents/{incident}", ID: "getIncident", Verb: auth.IncidentView, On: desk.OnSite, Looks: true, Text: "An incident with its time line, evidence and actions", Add: desk.Do(home.GetIncident)},
	{Method: "POST", Path: "/v1/sites/{site}/incidents/{incident}/close", ID: "closeIncident", Verb: auth.IncidentClose, On: desk.OnSite, Looks: true, Text: "Say what became of an incident", Add: desk.Do(home.CloseIncident)},
	{Method: "GET", Path: "/v1/sites/{site}/detections/{detection}", ID: "getDetection", Verb: auth.DetectionView, On: desk.OnSite, Looks: true, Text: "A detection with its evidence", Add: desk.Do(home.GetDetection)},

	{Method: "GET", Path: "/v1/devices", ID: "listDevices", Verb: auth.DeviceView, On: desk.Network, List: true, Looks: true, Text: "Devices of all sites, or of one", Add: desk.Do(home.ListDevices)},
	{Method: "GET", Path: "/v1/incidents", ID: "listIncidents", Verb: auth.IncidentView, On: desk.Network, List: true, Looks: true, Text: "Incidents", Add: desk.Do(home.ListIncidents)},
	{Method: "GET", Path: "/v1/detections", ID: "listDetections", Verb: auth.DetectionView, On: desk.Network, List: true, Looks: true, Text: "Detections", Add: desk.Do(home.ListDetections)},
	{Method: "GET", Path: "/v1/actions", ID: "listActions", Verb: auth.ActionView, On: desk.Network, List: true, Looks: true, Text: "What was done, would have been, or is asked for", Add: desk.Do(home.ListActions)},
	{Method: "GET", Path: "/v1/events", ID: "listen", Verb: auth.EventListen, On: desk.Network, List: true, Stream: true, Text: "What changes, as it happens (server-sent events)", Add: desk.Do(home.Events)},

	{Method: "GET", Path: "/v1/routers", ID: "listRouters", Verb: auth.RouterView, On: desk.Network, List: true, Text: "Routers", Add: desk.Do(fleet.ListRouters)},
	{Method: "POST", Path: "/v1/routers/import", ID: "importRouters", Verb: auth.RouterImport, On: desk.Network, Upload: true, Text: "Load a list of routers, or see what would be wrong with it", Add: desk.Do(fleet.ImportRouters)},
	{Method: "GET", Path: "/v1/routers/export", ID: "exportRouters", Verb: auth.RouterView, On: desk.Network, List: true, Download: true, Text: "Routers as CSV", Add: desk.Do(fleet.ExportRouters)},
	{Method: "GET", Path: "/v1/routers/{router}", ID: "getRouter", Verb: auth.RouterView, On: desk.OnRouter, Text: "A router", Add: desk.Do(fleet.GetRouter)},
	{Method: "POST", Path: "/v1/routers/{router}/revoke", ID: "revokeRouter", Verb: auth.RouterRevoke, On: desk.OnRouter, Text: "Take nothing of a router any more, within seconds", Add: desk.Do(fleet.RevokeRouter)},
	{Method: "POST", Path: "/v1/routers/{router}/reset", ID: "resetRouter", Verb: auth.RouterReset, On: desk.OnRouter, Text: "Let a router enrol again, after a factory reset", Add: desk.Do(fleet.ResetRouter)},

	{Method: "GET", Path: "/v1/shadows", ID: "listShadows", Verb: auth.ShadowView, On: desk.Network, Text: "Rules that may not act anywhere", Add: desk.Do(fleet.ListShadows)},
	{Method: "POST", Path: "/v1/shadows", ID: "createShadow", Verb: auth.ShadowChange, On: desk.Network, Status: 201, Text: "Put a rule into shadow everywhere, within seconds", Add: desk.Do(fleet.CreateShadow)},
	{Method: "DELETE", Path: "/v1/shadows/{shadow}", ID: "liftShadow", Verb: auth.ShadowChange, On: desk.Network, Text: "Let a rule act again", Add: desk.Do(fleet.LiftShadow)},

	{Method: "GET", Path: "/v1/users", ID: "listUsers", Verb: auth.PersonView, On: desk.Network, List: true, Text: "People", Add: desk.Do(people.ListUsers)},
	{Method: "POST", Path: "/v1/invitations", ID: "invite", Verb: auth.PersonInvite, Status: 201, Secret: true, Text: "Give somebody a role; the token lets him choose his password", Add: desk.Do(people.Invite)},
	{Method: "GET", Path: "/v1/users/{user}", ID: "getUser", Verb: auth.PersonView, On: desk.OnUser, Text: "A person", Add: desk.Do(people.GetUser)},
	{Method: "PATCH", Path: "/v1/users/{user}", ID: "changeUser", Verb: auth.PersonChange, On: desk.OnUser, Text: "Change or disable a person", Add: desk.Do(people.ChangeUser)},
	{Method: "DELETE", Path: "/v1/users/{user}", ID: "eraseUser", Verb: auth.PersonErase, On: desk.OnUser, Text: "Erase a person", Add: desk.Do(people.EraseUser)},
	{Method: "POST", Path: "/v1/users/{user}/reset", ID: "resetUser", Verb: auth.PersonReset, On: desk.OnUser, Secret: true, Text: "Make a token with which a person chooses a new password", Add: desk.Do(people.ResetUser)},
	{Method: "DELETE", Path: "/v1/users/{user}/grants", ID: "removeGrant", Verb: auth.PersonRemove, Text: "Take a role from a person", Add: desk.Do(people.RemoveGrant)},

	{Method: "GET", Path: "/v1/audit", ID: "listAudit", Verb: auth.AuditView, On: desk.Network, List: true, Text: "Who changed or looked at what", Add: desk.Do(people.ListAudit)},
}

// Routes returns every route.
func Routes() []desk.Route { return slices.Clone(routes) }
