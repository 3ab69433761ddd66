package main // A bot of the standard library alone. Its chat is standard input: a person, a tab, a text.

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
)

type reply struct {
	Access_token, Code, Connect_url, Email, Outcome, status string
	Accounts                                                []string // one of them has to be named
}

func send(method, url, token, body string) (found reply) { // to this address alone: no redirect
	request, _ := http.NewRequest(method, url, strings.NewReader(body))
	request.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return reply{Code: "unreachable"}
	}
	defer answer.Body.Close()
	json.NewDecoder(answer.Body).Decode(&found)
	found.status = answer.Status
	return found
}
func ask(call string, members map[string]string) reply {
	body, _ := json.Marshal(members)
	return send("POST", os.Getenv("SITE")+"/api/v1/"+call, os.Getenv("SERVICE_KEY"), string(body))
}
func whoami(wanted map[string]string) reply { // once more with a renewed token if one is refused
	held := ask("token", wanted)
	if held.Access_token == "" {
		return held
	}
	found := send("GET", os.Getenv("GOOGLE_API")+"/v1/userinfo", held.Access_token, "")
	if strings.HasPrefix(found.status, "401") && wanted["refused"] == "" {
		wanted["refused"] = held.Access_token
		return whoami(wanted)
	}
	return found
}
func main() {
	for chat := bufio.NewScanner(os.Stdin); chat.Scan(); { // who writes, says the chat, and no text
		person, text, _ := strings.Cut(chat.Text(), "\t")
		said, wanted := reply{Code: "I know whoami."}, map[string]string{"user_id": person, "provider": "google"}
		word, account, isNamed := strings.Cut(text, " ")
		if isNamed {
			wanted["account"] = account
		}
		if word == "whoami" {
			said = whoami(wanted)
		} else if len(strings.ReplaceAll(text, " ", "")) == 6 {
			said = ask("proofs", map[string]string{"user_id": person, "code": text})
		}
		fmt.Println(person+"\t"+said.Email+said.Outcome+said.Code, said.Connect_url, strings.Join(said.Accounts, ", "))
	}
}
