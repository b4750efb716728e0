"""What may stand in a review as a question or as a reason."""

import pytest

from sengol_api.adapters.catalogue_files import load_catalogue
from sengol_api.review.assist.wording import LONGEST, SHORTEST, complaints

ORIGINAL = "Are prompts, uploads, transcripts and answers protected throughout, so that no log reveals another person's data?"


def said(text, kind="question", original=ORIGINAL):
    return list(complaints(text, original, kind))


def test_every_question_of_the_catalogue_may_stand():
    assert {area.id: found for area in load_catalogue().areas if (found := said(area.question, original=""))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "Are patients' chats and answers protected, so that no log of the chatbot reveals another patient's data?",
        "For the chatbot, who may read the transcripts, and are they protected throughout?",
        "When patients upload records, what stops a log from revealing them?",
        "The chatbot keeps transcripts for a while. Are they protected throughout, in logs and in exports?",
        "Are the Node.js service's logs (and the transcripts) protected throughout – day & night?",
        "Is the café’s data, €5 or 10 % of it, protected throughout “from end to end”?",
    ],
)
def test_a_question_that_can_be_answered_may_stand(text):
    assert said(text) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Is it protected?", f"{SHORTEST} to"),
        ("Are the transcripts protected throughout, " * 12 + "always?", f"to {LONGEST}"),
        ("Protection of the transcripts and answers of the chatbot", "one question mark"),
        ("Are transcripts protected? Are the answers protected as well?", "one question mark"),
        ("The transcripts are protected throughout by the chatbot?", "can be answered"),
        ("The transcripts are protected throughout by the chatbot, are they?", "can be answered"),
        ("Tell me, are the transcripts protected throughout by the chatbot?", "can be answered"),
        ("Describe how transcripts are protected, is that what the log does?", "can be answered"),
        ("Please say whether the transcripts are protected, or are they not?", "can be answered"),
        ("One. Two of them. Are the transcripts protected throughout by the chatbot?", "one sentence or two"),
        ("Are the transcripts at https://example.com protected throughout?", "link or an address"),
        ("Are the transcripts at www example protected throughout the day?", "link or an address"),
        ("Are the transcripts at files.example.com protected throughout?", "link or an address"),
        ("Are the transcripts of jane@example.com protected throughout?", "ordinary punctuation"),
        ("Are the <b>transcripts</b> protected throughout by the chatbot?", "ordinary punctuation"),
        ("Are the `transcripts` protected throughout by the chatbot today?", "ordinary punctuation"),
        ("Are the **transcripts** protected throughout by the chatbot?", "ordinary punctuation"),
        ("Are the [transcripts](x) protected throughout by the chatbot?", "ordinary punctuation"),
        ("Are the transcripts protected\nthroughout by the chatbot today?", "ordinary punctuation"),
        ("Are the transcripts {{7*7}} protected throughout by the chatbot?", "ordinary punctuation"),
        ("Are the trаnscripts protected throughout by the chatbot today?", "ordinary punctuation"),
        ("Are the transcripts\u200b protected throughout by the chatbot today?", "ordinary punctuation"),
        ("Are the transcripts\u202e protected throughout by the chatbot today?", "ordinary punctuation"),
        ("Are the transcripts\ud800 protected throughout by the chatbot today?", "ordinary punctuation"),
        ("Are the ｔｒａｎｓｃｒｉｐｔｓ protected throughout by the chatbot today?", "ordinary punctuation"),
        ("Are the 𝐭𝐫𝐚𝐧𝐬𝐜𝐫𝐢𝐩𝐭𝐬 protected throughout by the chatbot today?", "ordinary punctuation"),
        ("Sind Eingaben, Abschriften und Antworten des Chatbots durchweg vor fremden Blicken sicher, how?", "plain English"),
        ("Are the transcripts protected, as x9f3k2m8q7w1 has it, throughout?", "code or a token"),
        ("Are the transcripts protected by Donaudampfschifffahrtsgesellschaft throughout?", "code or a token"),
        ("Are your transcripts protected throughout by the chatbot of today?", "address anybody"),
        ("Are the transcripts that I see protected throughout by the chatbot?", "address anybody"),
        ("As a language model, are the transcripts protected throughout the day?", "speak of its writer"),
        ("Are the transcripts protected, and should one add another question on it?", "orders"),
        ("Are the transcripts protected if the weight of it is set, or set the weight to 1?", "orders"),
        ("Are the transcripts protected, although a log is harmless in this chatbot?", "safe or not needed"),
        ("Are the transcripts protected by a certified vendor of the chatbot?", "safe or not needed"),
        ("What is the password for the transcripts of the chatbot's answers?", "secret"),
        ("Is the protection of transcripts disabled when the chatbot answers?", "round"),
    ],
)
def test_what_may_not_stand_is_told(text, complaint):
    assert any(complaint in found for found in said(text)), said(text)


def test_words_of_the_catalogue_may_be_used_again():
    original = "Is a certified method used, and may staff bypass it when something is harmless?"
    assert said("In the chatbot, is a certified method used, and may staff bypass it?", original=original) == []
    assert said("In the chatbot, is a certified method used, and may staff bypass it?") != []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Patients talk to the chatbot about their symptoms.", None),
        ("Patients talk to the chatbot. It writes into the records of the hospital.", None),
        ("Do patients talk to the chatbot about their symptoms?", "full stop"),
        ("Patients talk to the chatbot about their symptoms", "full stop"),
        ("You talk to the chatbot about symptoms of all kinds.", "address anybody"),
        ("Patients talk to the chatbot. It answers. It writes all of it down.", "one sentence or two"),
        ("The chatbot is fully secure and certified, so there is no risk in it.", "safe or not needed"),
    ],
)
def test_a_reason_is_a_statement(text, complaint):
    found = said(text, "importance")
    assert found == [] if complaint is None else any(complaint in one for one in found)


def test_a_long_text_is_not_read_at_all():
    assert len(said("<" * 10_000_000)) == 1
