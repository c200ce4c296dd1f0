//! Small tables in the sets' own formats.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

fn folder(tables: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in tables {
        let file = fs_err::File::create(folder.path().join(name)).unwrap();
        let mut encoder = GzEncoder::new(file, Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap();
    }
    folder
}

pub(crate) fn ebnerd() -> TempDir {
    folder(&EBNERD)
}

pub(crate) fn driver() -> TempDir {
    folder(&[("events.csv.gz", DRIVER)])
}

const EBNERD: [(&str, &str); 4] = [
    ("items.csv.gz", "article_id,premium,article_length\n1,0,900\n2,1,\n3,0,1500\n"),
    (
        "requests.csv.gz",
        "request_id,split,impression_id,user_id,session_id,ts_ms,device_type,is_sso_user,is_subscriber,\
         page_article_id,page_read_time_s,page_scroll_pct,gender,age,postcode,click_read_time_s,click_scroll_pct\n\
         0,train,9,7,1,1000000000,2,0,1,,1,,,,,30,80\n\
         1,train,9,8,1,1000000000,1,1,0,,1,,,,,,\n\
         2,train,9,7,1,1000500000,2,0,1,,1,,,,,12,20\n\
         3,validation,9,7,2,1090000000,2,0,1,,1,,,,,5,100\n\
         4,train,9,8,2,1080000000,2,1,0,,1,,,,,5,100\n\
         5,train,9,8,2,1080000000,2,1,0,,1,,,,,5,100\n",
    ),
    (
        "impressions.csv.gz",
        "request_id,list_pos,article_id,click\n\
         0,0,1,0\n0,1,2,1\n1,0,1,1\n1,1,3,1\n2,0,3,1\n2,1,1,0\n2,2,2,0\n3,0,1,0\n3,1,2,1\n4,0,3,1\n4,1,1,0\n",
    ),
    (
        "history_events.csv.gz",
        "user_id,ts_ms,article_id,read_time_s,scroll_pct\n\
         7,900000000,1,10,50\n7,999999000,77,400,50\n7,1000000000,3,1,1\n7,1000020000,2,31,80\n8,1000500000,1,,\n",
    ),
];

const DRIVER: &str = "user_id,room_id,ts_s,split\n\
    0,0,0,train\n1,1,60,train\n1,1,60,train\n2,0,120,train\n1,0,180,train\n0,1,430000,train\n\
    1,0,430060,train\n0,0,430120,train\n2,0,600000,test\n3,1,600060,test\n2,1,600120,test\n";
