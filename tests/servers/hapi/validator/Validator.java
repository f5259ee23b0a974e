import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import ca.uhn.fhir.validation.SingleValidationMessage;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.StringJoiner;

/**
 * HAPI FHIR's validator for STU3, without a network: each line of input is a resource in base64.
 *
 * Each line of output is its errors: message id, a tab, where, a tab, and what, each in base64 and with commas
 * between; an empty line is a valid resource.
 */
public class Validator {

    public static void main(String[] arguments) throws Exception {
        FhirContext context = FhirContext.forDstu3();
        FhirInstanceValidator instances = new FhirInstanceValidator(new ValidationSupportChain(
            new DefaultProfileValidationSupport(context),
            new CommonCodeSystemsTerminologyService(context),
            new InMemoryTerminologyServerValidationSupport(context),
            new SnapshotGeneratingValidationSupport(context)));
        instances.setAnyExtensionsAllowed(true);
        instances.setErrorForUnknownProfiles(false);
        FhirValidator validator = context.newValidator().registerValidatorModule(instances);

        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream output = new PrintStream(System.out, true, StandardCharsets.US_ASCII);
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String resource = new String(Base64.getDecoder().decode(line), StandardCharsets.UTF_8);
            output.println(errors(validator, resource));
        }
    }

    private static String errors(FhirValidator validator, String resource) {
        StringJoiner errors = new StringJoiner(",");
        try {
            for (SingleValidationMessage message : validator.validateWithResult(resource).getMessages()) {
                if (message.getSeverity().compareTo(ResultSeverityEnum.ERROR) >= 0) {
                    errors.add(written(message.getMessageId(), message.getLocationString(), message.getMessage()));
                }
            }
        } catch (RuntimeException refusal) {  // a body that its parser cannot read
            errors.add(written("parser", "", refusal.getMessage()));
        }
        return errors.toString();
    }

    private static String written(String id, String where, String what) {
        byte[] text = (id + "\t" + where + "\t" + what).getBytes(StandardCharsets.UTF_8);
        return Base64.getEncoder().encodeToString(text);
    }
}
