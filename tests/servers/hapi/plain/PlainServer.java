import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.HashMapResourceProvider;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.hl7.fhir.dstu3.model.Condition;
import org.hl7.fhir.dstu3.model.Consent;
import org.hl7.fhir.dstu3.model.Flag;
import org.hl7.fhir.dstu3.model.ListResource;
import org.hl7.fhir.dstu3.model.Subscription;

import java.net.InetSocketAddress;

/**
 * HAPI FHIR's plain server over STU3, on a free port of loopback.
 *
 * What it answers is HAPI's own: its RestfulServer over its HashMapResourceProvider, nothing overridden.
 */
public class PlainServer {

    public static void main(String[] arguments) throws Exception {
        FhirContext context = FhirContext.forDstu3();
        RestfulServer fhir = new RestfulServer(context);
        fhir.registerProvider(new HashMapResourceProvider<>(context, ListResource.class));
        fhir.registerProvider(new HashMapResourceProvider<>(context, Flag.class));
        fhir.registerProvider(new HashMapResourceProvider<>(context, Condition.class));
        fhir.registerProvider(new HashMapResourceProvider<>(context, Consent.class));
        fhir.registerProvider(new HashMapResourceProvider<>(context, Subscription.class));

        ServletContextHandler handler = new ServletContextHandler("/");
        handler.addServlet(new ServletHolder(fhir), "/STU3/*");
        Server server = new Server(new InetSocketAddress("127.0.0.1", 0));
        server.setHandler(handler);
        server.start();
        int port = ((ServerConnector) server.getConnectors()[0]).getLocalPort();
        System.out.println("serving at http://127.0.0.1:" + port + "/STU3");
        server.join();
    }
}
