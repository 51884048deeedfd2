"""Five ways to check inputs."""


class _Sum:
    CATEGORY = "testing/validation"
    FUNCTION = "add"
    RETURN_TYPES = ("FLOAT",)

    @classmethod
    def INPUT_TYPES(cls):
        number = ("FLOAT", {"min": 0.0, "max": 10.0})
        return {"required": {"input1": number, "input2": number}}

    def add(self, input1, input2):
        return (float(input1) + float(input2),)


class CustomValidation1(_Sum):
    """Takes any types and looks at the values."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"input1": ("IMAGE,FLOAT",), "input2": ("IMAGE,FLOAT",)}}

    @classmethod
    def VALIDATE_INPUTS(cls, input1, input2):
        for name, value in (("input1", input1), ("input2", input2)):
            if value is not None and not isinstance(value, (int, float)):
                return f"{name} is no number"
        return True


class CustomValidation2(_Sum):
    """Looks at the types of links."""

    @classmethod
    def VALIDATE_INPUTS(cls, input_types, input1, input2):
        wrong = [name for name, type_ in input_types.items() if type_ not in ("INT", "FLOAT")]
        return f"{wrong[0]} is linked to no number" if wrong else True


class CustomValidation3(_Sum):
    """Declares a choice of types, and no check."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"input1": ("IMAGE,FLOAT",), "input2": ("IMAGE,FLOAT",)}}

    def add(self, input1, input2):
        return (1.0,)


class CustomValidation4(_Sum):
    """Checks one of its inputs itself, whose declared range does not count then."""

    @classmethod
    def VALIDATE_INPUTS(cls, input1):
        return input1 is None or input1 <= 20


class CustomValidation5(_Sum):
    """Checks whatever it is given."""

    @classmethod
    def VALIDATE_INPUTS(cls, **given):
        return "no sevens, please" if 7.0 in given.values() else True


VALIDATION = {
    "TestCustomValidation1": CustomValidation1,
    "TestCustomValidation2": CustomValidation2,
    "TestCustomValidation3": CustomValidation3,
    "TestCustomValidation4": CustomValidation4,
    "TestCustomValidation5": CustomValidation5,
}
