//! Small resources both ways, and XML that FHIR forbids.

use super::corpus::same;
use super::{Layout, read, write};
use crate::json::{Document, Limits};

fn document(json: &str) -> Document {
    Document::parse(json.into(), &Limits::default()).unwrap()
}

fn written(json: &str) -> String {
    match write(document(json).root(), Layout::Dense) {
        Ok(xml) => xml.replacen("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "", 1),
        Err(error) => error.to_string(),
    }
}

fn text_read(xml: &str) -> String {
    read(xml.as_bytes(), &Limits::default()).unwrap_or_else(|error| error.to_string())
}

/// One resource in both forms; `'` stands for `"` in both.
#[track_caller]
fn both(json: &str, xml: &str) {
    let (json, xml) = (json.replace('\'', "\""), xml.replace('\'', "\""));
    assert_eq!(written(&json), xml);
    assert_eq!(text_read(&xml), json);
}

/// The same, of a Patient.
#[track_caller]
fn patient(members: &str, elements: &str) {
    both(
        &format!("{{'resourceType':'Patient',{members}}}"),
        &format!("<Patient xmlns='http://hl7.org/fhir'>{elements}</Patient>"),
    );
}

/// Reads what is inside a Patient; a backtick stands for `"` in the JSON.
#[track_caller]
fn reads(elements: &str, json: &str) {
    let xml = format!("<Patient xmlns='http://hl7.org/fhir'>{elements}</Patient>");
    let found = text_read(&xml).replace("{\"resourceType\":\"Patient\",", "{");
    assert_eq!(found, json.replace('`', "\""));
}

/// XML that is refused at a place for a reason.
#[track_caller]
fn refused(xml: &str, place: &str, rule: &str) {
    let error = read(xml.as_bytes(), &Limits::default()).unwrap_err();
    assert_eq!(error.place, place);
    assert!(error.rule.contains(rule), "{}", error.rule);
    assert!(error.position.is_some());
}

/// The same, inside a Patient.
#[track_caller]
fn refused_inside(elements: &str, place: &str, rule: &str) {
    let xml = format!("<Patient xmlns='http://hl7.org/fhir'>{elements}</Patient>");
    refused(&xml, place, rule);
}

#[test]
fn primitives_are_attributes() {
    patient("'id':'a'", "<id value='a'/>");
    patient("'active':true", "<active value='true'/>");
    patient(
        "'multipleBirthInteger':3",
        "<multipleBirthInteger value='3'/>",
    );
    patient("'birthDate':'1970-03'", "<birthDate value='1970-03'/>");
}

#[test]
fn elements_that_repeat_are_arrays() {
    patient(
        "'name':[{'family':'A','given':['B','C']},{'family':'D'}]",
        "<name><family value='A'/><given value='B'/><given value='C'/></name>\
         <name><family value='D'/></name>",
    );
}

#[test]
fn decimals_keep_their_digits() {
    for digits in [
        "1.00",
        "-0.0",
        "1e3",
        "1.50E-7",
        "0.1000000000000000000000000001",
    ] {
        both(
            &format!("{{'resourceType':'Observation','valueQuantity':{{'value':{digits}}}}}"),
            &format!(
                "<Observation xmlns='http://hl7.org/fhir'><valueQuantity><value value='{digits}'/>\
                 </valueQuantity></Observation>"
            ),
        );
    }
}

#[test]
fn primitives_keep_ids_and_extensions() {
    let url = "http://example.org/x";
    patient(
        &format!("'_birthDate':{{'extension':[{{'url':'{url}','valueCode':'c'}}]}}"),
        &format!(
            "<birthDate><extension url='{url}'><valueCode value='c'/></extension></birthDate>"
        ),
    );
    patient(
        "'birthDate':'1970','_birthDate':{'id':'b'}",
        "<birthDate id='b' value='1970'/>",
    );
}

#[test]
fn arrays_of_primitives_keep_their_gaps() {
    patient(
        "'name':[{'given':['A',null,'C'],'_given':[null,{'id':'g'},null]}]",
        "<name><given value='A'/><given id='g'/><given value='C'/></name>",
    );
    patient(
        "'name':[{'_given':[{'id':'g'},{'id':'h'}]}]",
        "<name><given id='g'/><given id='h'/></name>",
    );
}

#[test]
fn extensions_nest_and_have_their_url_as_attribute() {
    patient(
        "'extension':[{'id':'e','extension':[{'url':'a','valueBoolean':false}],'url':'b'}]",
        "<extension id='e' url='b'><extension url='a'><valueBoolean value='false'/></extension>\
         </extension>",
    );
}

#[test]
fn resources_are_inside_others() {
    patient(
        "'contained':[{'resourceType':'Organization','id':'o'},{'resourceType':'Basic','id':'b'}]",
        "<contained><Organization><id value='o'/></Organization></contained>\
         <contained><Basic><id value='b'/></Basic></contained>",
    );
    both(
        "{'resourceType':'Bundle','entry':[{'resource':{'resourceType':'Basic','id':'b'}}]}",
        "<Bundle xmlns='http://hl7.org/fhir'><entry><resource><Basic><id value='b'/></Basic>\
         </resource></entry></Bundle>",
    );
}

#[test]
fn any_character_comes_back() {
    both(
        r"{'resourceType':'Basic','id':'<&>\'\t\r\n\\é😀'}",
        "<Basic xmlns='http://hl7.org/fhir'>\
         <id value='&lt;&amp;>&quot;&#9;&#13;&#10;\\é😀'/></Basic>",
    );
}

#[test]
fn what_xml_has_no_character_for_is_replaced() {
    let xml = written(r#"{"resourceType":"Basic","id":"a\u0001b\uffffc"}"#);
    assert!(xml.contains("value=\"a\u{fffd}b\u{fffd}c\""), "{xml}");
}

#[test]
fn narratives_keep_their_text() {
    patient(
        "'text':{'status':'generated','div':\
         '<div xmlns=\\'http://www.w3.org/1999/xhtml\\'>a<br/>b &amp; <!-- c &- d --><b>\\n</b></div>'}",
        "<text><status value='generated'/>\
         <div xmlns='http://www.w3.org/1999/xhtml'>a<br/>b &amp; <!-- c &- d --><b>\n</b></div></text>",
    );
}

/// What is written for the inside of a `div`.
#[track_caller]
fn narrative(json: &str, xml: &str) {
    let start = "<div xmlns='http://www.w3.org/1999/xhtml'>";
    let json =
        format!("{{\"resourceType\":\"Basic\",\"text\":{{\"div\":\"{start}{json}</div>\"}}}}");
    let whole = written(&json);
    assert!(whole.contains(&format!("{start}{xml}</div>")), "{whole}");
    roxmltree::Document::parse(&whole).unwrap();
}

#[test]
fn narratives_become_well_formed() {
    narrative("a\\r\\nb", "a&#xD;\nb");
    narrative("a&nbsp;&eacute;&hellip;&#160;", "a\u{a0}é…&#160;");
    narrative("&unknown;&#0;&#xD800;", "\u{fffd}\u{fffd}\u{fffd}");
    narrative("a]]>b", "a]]&gt;b");
    narrative("<!-- a -- b --->", "<!-- a - - b - -->");
    narrative("<p\\r\\nclass='a\\r'>x</p>", "<p\n\nclass='a&#xD;'>x</p>");
    narrative("a\\u0001", "a\u{fffd}");
}

#[test]
fn carriage_returns_of_narratives_come_back() {
    let json = "{'resourceType':'Basic','text':{'div':\
                '<div xmlns=\\'http://www.w3.org/1999/xhtml\\'>a\\r\\nb\\rc&#13;</div>'}}"
        .replace('\'', "\"");
    assert_eq!(text_read(&written(&json)), json);
}

#[test]
fn a_remark_ends_behind_its_beginning() {
    let xml = "<Basic xmlns='http://hl7.org/fhir'><text>\
               <div xmlns='http://www.w3.org/1999/xhtml'>a<!-->& <b>-->b</div></text></Basic>";
    assert!(text_read(xml).contains("a<!-->& <b>-->b"));
}

#[test]
fn what_is_no_xhtml_is_not_written() {
    let json = r#"{"resourceType":"Basic","text":{"div":"<div>a"}}"#;
    assert!(written(json).starts_with("Basic.text.div: "));
}

#[test]
fn members_in_any_order_are_written_in_the_right_one() {
    let json = r#"{"name":[{"given":["B"],"family":"A"}],"_active":{"id":"x"},"resourceType":
        "Patient","id":"a","active":true}"#;
    let xml = written(json);
    let expected = "<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"a\"/>\
         <active id=\"x\" value=\"true\"/><name><family value=\"A\"/><given value=\"B\"/></name>\
         </Patient>";
    assert_eq!(xml, expected);
    let back = text_read(&xml);
    assert_eq!(
        same(document(json).root(), document(&back).root()),
        Ok(false)
    );
}

#[test]
fn what_xml_cannot_hold_is_refused() {
    let json = r#"{"resourceType":"Patient","extension":[{"url":"a","_url":{"id":"b"}}]}"#;
    assert!(written(json).starts_with("Patient.extension[0]: an id or url"));
    let json = r#"{"resourceType":"Patient","shoeSize":46}"#;
    assert!(written(json).starts_with("Patient: has a member"));
    assert!(written("{}").starts_with("must be a resource"));
}

#[test]
fn lines_are_for_people() {
    let json = r#"{"resourceType":"Patient","name":[{"family":"A"}],"contained":[{"resourceType":"Basic"}]}"#;
    let xml = write(document(json).root(), Layout::Lines).unwrap();
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<Patient xmlns=\"http://hl7.org/fhir\">
  <contained>
    <Basic/>
  </contained>
  <name>
    <family value=\"A\"/>
  </name>
</Patient>";
    assert_eq!(xml, expected);
}

#[test]
fn white_space_comments_and_prologue_mean_nothing() {
    let xml = "\u{feff}<?xml version='1.0' encoding='utf-8'?>\r\n<!-- a --><?xml-stylesheet a?>
        <Patient xmlns='http://hl7.org/fhir'
            xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'
            xsi:schemaLocation='http://hl7.org/fhir patient.xsd'>
          <!-- b --> <id value='a' ></id > \t
        </Patient > <!-- c -->\n";
    assert_eq!(text_read(xml), r#"{"resourceType":"Patient","id":"a"}"#);
}

#[test]
fn a_prefix_may_stand_for_the_namespace() {
    let xml = "<f:Patient xmlns:f='http://hl7.org/fhir' xmlns='http://www.w3.org/1999/xhtml'>\
        <f:text><f:status value='empty'/><div>a</div></f:text><name xmlns='http://hl7.org/fhir'>\
        <family value='A'/></name></f:Patient>";
    let div = r#"<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>"#;
    let expected = format!(
        r#"{{"resourceType":"Patient","text":{{"status":"empty","div":"{div}"}},"name":[{{"family":"A"}}]}}"#
    );
    assert_eq!(text_read(xml), expected);
}

#[test]
fn white_space_in_attributes_is_a_space() {
    reads("<id value=' a\nb\r\nc\td&#10;'/>", r"{`id`:` a b c d\n`}");
}

#[test]
fn references_are_characters() {
    reads(
        "<id value='&lt;&gt;&amp;&#65;&#x42;&#x1F600;'/>",
        "{`id`:`<>&AB😀`}",
    );
    reads("<id value='&quot;&apos;'/>", r"{`id`:`\`'`}");
}

#[test]
fn other_namespaces_are_refused() {
    let rule = "namespace http://hl7.org/fhir";
    refused("<Patient/>", "", rule);
    refused("<Patient xmlns='urn:hl7-org:v3'/>", "", rule);
    refused("<f:Patient xmlns='http://hl7.org/fhir'/>", "", rule);
    refused_inside("<id xmlns='' value='a'/>", "Patient.id", rule);
    refused_inside(
        "<name><x:family xmlns:x='y' value='a'/></name>",
        "Patient.name[0].family",
        rule,
    );
    refused_inside(
        "<text><div>a</div></text>",
        "Patient.text.div",
        "1999/xhtml",
    );
    let div = "<text><h:div xmlns:h='http://www.w3.org/1999/xhtml'>a</h:div></text>";
    refused_inside(div, "Patient.text.div", "without a prefix");
}

#[test]
fn unknown_elements_are_refused() {
    refused("<Foo xmlns='http://hl7.org/fhir'/>", "", "type of resource");
    refused(
        "<Resource xmlns='http://hl7.org/fhir'/>",
        "",
        "type of resource",
    );
    refused_inside("<shoe value='46'/>", "Patient", "unknown element shoe");
    refused_inside(
        "<name><url value='a'/></name>",
        "Patient.name[0]",
        "unknown element url",
    );
    refused_inside(
        "<contact><id value='a'/></contact>",
        "Patient.contact[0]",
        "unknown element id",
    );
    refused_inside(
        "<Ünïque value='46'/>",
        "Patient",
        "a name that FHIR does not",
    );
    refused_inside(
        "<deceased value='true'/>",
        "Patient",
        "unknown element deceased",
    );
}

#[test]
fn unknown_attributes_are_refused() {
    refused_inside("<id value='a' x='b'/>", "Patient.id", "the attribute x");
    refused_inside("<id value='a' url='b'/>", "Patient.id", "the attribute url");
    refused_inside(
        "<name value='a'/>",
        "Patient.name[0]",
        "the attribute value",
    );
    refused_inside("<name url='a'/>", "Patient.name[0]", "the attribute url");
    refused_inside("<id value='a' value='b'/>", "Patient", "twice");
    refused(
        "<Patient xmlns='http://hl7.org/fhir' id='a'/>",
        "Patient",
        "the attribute id",
    );
    let nil = "<id xmlns:x='http://www.w3.org/2001/XMLSchema-instance' x:nil='true'/>";
    refused_inside(nil, "Patient.id", "an attribute that FHIR does not");
    let many = format!(
        "<id {}/>",
        (0..70).map(|n| format!("a{n}='b' ")).collect::<String>()
    );
    refused_inside(&many, "Patient", "too many attributes");
}

#[test]
fn order_and_number_matter() {
    refused_inside(
        "<active value='true'/><id value='a'/>",
        "Patient.id",
        "comes too late",
    );
    let again =
        "<name><family value='a'/></name><gender value='male'/><name><family value='b'/></name>";
    refused_inside(again, "Patient.name", "comes too late");
    refused_inside("<id value='a'/><id value='b'/>", "Patient.id", "once only");
    let choice = "<deceasedBoolean value='true'/><deceasedDateTime value='2020'/>";
    refused_inside(choice, "Patient.deceased", "one type only");
}

#[test]
fn empty_elements_are_refused() {
    refused_inside("<id/>", "Patient.id", "must not be empty");
    refused_inside("<id value=''/>", "Patient.id", "must not be empty");
    refused_inside("<name/>", "Patient.name[0]", "must not be empty");
    refused_inside("<name> </name>", "Patient.name[0]", "must not be empty");
    refused_inside("<contained/>", "Patient.contained[0]", "one resource");
    let two = "<contained><Basic/><Basic/></contained>";
    refused_inside(two, "Patient.contained[0]", "one resource");
}

#[test]
fn values_must_be_of_their_kind() {
    refused_inside("<active value='1'/>", "Patient.active", "true or false");
    for digits in ["01", "+1", "1.", ".5", "", "-", "1e", "0x1", " 1", "NaN"] {
        let element = format!("<multipleBirthInteger value='{digits}'/>");
        refused_inside(&element, "Patient.multipleBirth", "must be an integer");
    }
}

#[test]
fn what_is_no_xml_is_refused() {
    refused("", "", "no element");
    refused("text", "", "text is allowed");
    refused("<Patient", "", "well-formed");
    refused(
        "<Patient xmlns='http://hl7.org/fhir'>",
        "Patient",
        "not closed",
    );
    refused(
        "<Patient xmlns='http://hl7.org/fhir'><id></Patient>",
        "Patient.id",
        "well-formed",
    );
    refused(
        "<Patient xmlns='http://hl7.org/fhir'/><a/>",
        "",
        "one resource only",
    );
    refused_inside("<id value=a/>", "Patient", "well-formed");
    refused_inside("text", "Patient", "text is allowed");
    refused_inside("<![CDATA[a]]>", "Patient", "text is allowed");
    refused_inside("<id value='&foo;'/>", "Patient.id", "reference");
    refused_inside("<id value='a&'/>", "Patient.id", "reference");
    refused_inside("<id value='&#1;'/>", "Patient.id", "reference");
    refused_inside("<id value='a<b'/>", "Patient.id", "bare <");
    refused_inside("<id value='\u{1}'/>", "Patient.id", "control characters");
    let div = "<text><div xmlns='http://www.w3.org/1999/xhtml'><b></div></text>";
    refused_inside(div, "Patient.text.div", "well-formed");
    let name = "<text><div xmlns='http://www.w3.org/1999/xhtml'>&nbsp;</div></text>";
    refused_inside(name, "Patient.text.div", "reference");
}

#[test]
fn document_types_are_refused() {
    let entity = "<!DOCTYPE Patient [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>\
                  <Patient xmlns='http://hl7.org/fhir'><id value='&a;'/></Patient>";
    refused(entity, "", "document type");
    refused("<?xml version='1.0' encoding='latin1'?><a/>", "", "UTF-8");
    refused("<!-- a --><?xml version='1.0'?><a/>", "", "must come first");
    let error = read(b"<a>\xff</a>", &Limits::default()).unwrap_err();
    assert_eq!(error.rule, "the XML must be UTF-8");
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = "<extension url='a'>".repeat(50_000);
    let place = format!("Patient{}", ".extension[0]".repeat(32));
    refused_inside(&deep, &place, "nested too deeply");
    let limits = Limits {
        bytes_max: 100,
        ..Limits::default()
    };
    let long = format!(
        "<Patient xmlns='http://hl7.org/fhir'>{}</Patient>",
        " ".repeat(100)
    );
    let error = read(long.as_bytes(), &limits).unwrap_err();
    assert_eq!(error.rule, "the XML is too large");
}

#[test]
fn an_error_tells_line_and_column() {
    let xml = "<Patient xmlns='http://hl7.org/fhir'>\n  <id value='é'/> <b/>\n</Patient>";
    let error = read(xml.as_bytes(), &Limits::default()).unwrap_err();
    assert_eq!(error.position, Some((2, 19)));
    let expected =
        "Patient: unknown element b: there is none of that name here (XML line 2, column 19)";
    assert_eq!(error.to_string(), expected);
}
