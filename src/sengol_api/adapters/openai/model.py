"""The domain's ``LanguageModel`` over the client."""

from sengol_api.adapters.openai.client import OpenAIClient
from sengol_api.adapters.openai.errors import InvalidJsonError
from sengol_api.review.ports import AnswerCheck, ModelAnswer, ModelTask


class OpenAIModel:
    """See the port. Instructions go as the system's message, data as the user's: the model is told what to do by the first alone.

    Args:
        client: with a chat model.
        temperature: 0 to 2; None for models that take none.
        max_tokens: of an answer.
    """

    def __init__(self, client: OpenAIClient, *, temperature: float | None = 0.3, max_tokens: int | None = None) -> None:
        self.name = client.model
        self._client = client
        self._temperature = temperature
        self._max_tokens = max_tokens

    async def away(self, subject: str) -> str:  # noqa: ARG002 - what was kept of a subject knows who wraps this
        """See the port."""
        return self._client.why_away()

    async def answer(self, task: ModelTask, *, check: AnswerCheck) -> ModelAnswer:
        """See the port."""
        messages = [{"role": "system", "content": task.instructions}, {"role": "user", "content": task.data}]
        try:
            answer = await self._client.chat_json(
                messages,
                task.schema,
                name=task.name,
                check=check,
                temperature=self._temperature,
                max_tokens=self._max_tokens,
                prompt_version=task.prompt_version,
            )
        except InvalidJsonError as error:
            if not error.fits:
                raise
            billed = error.usage.total if error.calls else 0
            return ModelAnswer(error.value, error.model, "fresh", "", error.calls, error.problems, tokens=billed)
        billed = answer.usage.total if answer.calls else 0
        return ModelAnswer(answer.value, answer.model, answer.source, answer.reason, answer.calls, tokens=billed)
